/**
 * Which rows of a long list are on the screen.
 */
export interface Viewport {
  readonly scrollTop: number
  readonly height: number
  readonly width: number
}

export interface Grid {
  readonly minWidth: number
  readonly rowHeight: number
  readonly gap: number
}

export interface Visible {
  readonly columns: number
  readonly rows: number
  /** The first item that is drawn, and the one after the last. */
  readonly from: number
  readonly to: number
  /** Height of everything, drawn or not. */
  readonly height: number
  /** Where the first drawn row begins. */
  readonly top: number
}

const overscan = 2

export const visible = (count: number, viewport: Viewport, grid: Grid): Visible => {
  const columns = Math.max(1, Math.floor((viewport.width + grid.gap) / (grid.minWidth + grid.gap)))
  const rows = Math.ceil(count / columns)
  const step = grid.rowHeight + grid.gap
  const first = Math.min(Math.max(0, Math.floor(viewport.scrollTop / step) - overscan), Math.max(0, rows - 1))
  const last = Math.min(rows, Math.ceil((viewport.scrollTop + viewport.height) / step) + overscan)
  return {
    columns,
    rows,
    from: first * columns,
    to: Math.min(count, Math.max(last, first) * columns),
    height: rows === 0 ? 0 : rows * step - grid.gap,
    top: first * step
  }
}

/** Where a key moves the focus from an item. `undefined`: nowhere. */
export const moved = (key: string, index: number, count: number, columns: number): number | undefined => {
  const targets: Readonly<Record<string, number>> = {
    ArrowRight: index + 1,
    ArrowLeft: index - 1,
    ArrowDown: index + columns,
    ArrowUp: index - columns,
    Home: 0,
    End: count - 1
  }
  const target = targets[key]
  return target === undefined || target < 0 || target >= count ? undefined : target
}
