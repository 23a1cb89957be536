/**
 * Asking the API from a component.
 */
import { useCallback, useEffect, useRef, useState } from "preact/hooks"
import { type Problem, type Reply, sentence } from "../api/client.ts"
import { session, type Session } from "../store/session.ts"

/** Pages are drawn only while somebody is signed in. */
export const useSession = (): Session => {
  const current = session.value
  if (current === undefined) throw new Error("Nobody is signed in")
  return current
}

export type Loaded<A> =
  | { readonly _tag: "Loading" }
  | { readonly _tag: "Failed"; readonly text: string }
  /** `text`: why it is not the newest. */
  | { readonly _tag: "Loaded"; readonly value: A; readonly text?: string | undefined }

const retryMillis = 3_000

/** When to ask again, if nobody would: it may be answered then. */
const retryInMillis = (problem: Problem): number | undefined => {
  if (problem._tag === "Unreachable") return retryMillis
  return problem.status === 429 || problem.status >= 500 ? (problem.retryAfterMillis ?? retryMillis) : undefined
}

/**
 * Asks now, again after `everyMillis`, and whenever `inputs` change. What the
 * server could not answer is asked again soon.
 */
export const useLoaded = <A>(
  ask: (signal: AbortSignal) => Promise<Reply<A>>,
  inputs: ReadonlyArray<unknown>,
  everyMillis?: number
): readonly [Loaded<A>, () => void] => {
  const [state, setState] = useState<Loaded<A>>({ _tag: "Loading" })
  const [round, setRound] = useState(0)
  const latest = useRef(ask)
  latest.current = ask
  const again = useCallback(() => setRound((round) => round + 1), [])
  useEffect(() => setState({ _tag: "Loading" }), inputs)
  useEffect(() => {
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const run = async (): Promise<void> => {
      const reply = await latest.current(controller.signal)
      if (controller.signal.aborted) return
      setState((before) =>
        reply.ok
          ? { _tag: "Loaded", value: reply.body }
          : before._tag === "Loaded"
            ? { ...before, text: sentence(reply.problem) }
            : { _tag: "Failed", text: sentence(reply.problem) }
      )
      const again = (reply.ok ? undefined : retryInMillis(reply.problem)) ?? everyMillis
      if (again !== undefined) timer = setTimeout(() => void run(), document.hidden ? again * 5 : again)
    }
    void run()
    return () => {
      controller.abort()
      clearTimeout(timer)
    }
  }, [...inputs, round, everyMillis])
  return [state, again]
}
