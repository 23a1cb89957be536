/**
 * A dialog of the browser: it keeps the focus inside and gives it back.
 */
import type { ComponentChildren } from "preact"
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"

/** A `ref` for what is typed into first: it may come after the dialog did. */
export const focusFirst = (element: HTMLElement | null): void => element?.focus()

export const Dialog = ({
  children,
  onClose,
  title
}: {
  readonly title: string
  readonly onClose: () => void
  readonly children: ComponentChildren
}) => {
  const dialog = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => {
    const element = dialog.current
    const before = document.activeElement
    element?.showModal()
    return () => {
      element?.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    // What is asked now is read aloud, unless somebody types.
    if (!(document.activeElement?.matches("dialog input, dialog select") ?? false)) heading.current?.focus()
  }, [title])
  return (
    <dialog
      ref={dialog}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
    >
      <div class="dialog">
        <h2 id="dialog-title" ref={heading} tabIndex={-1}>
          {title}
        </h2>
        {children}
      </div>
    </dialog>
  )
}
