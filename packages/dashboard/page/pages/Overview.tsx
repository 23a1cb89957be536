/**
 * Every operation as a tile, the worst first.
 */
import { signal } from "@preact/signals"
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { clock, count, countdown, millis, none, percent, plural } from "../model/format.ts"
import {
  arrange,
  type Circuit,
  type Filter,
  filters,
  isOrder,
  type Order,
  orders,
  type Tile,
  totals
} from "../model/overview.ts"
import { factsOf } from "../model/states.ts"
import { moved, type Viewport, visible } from "../model/windowing.ts"
import { now } from "../store/clock.ts"
import type { Live } from "../store/live.ts"
import { hrefOf } from "../model/routes.ts"
import { Icon, StateBadge, StateIcon } from "../ui/icons.tsx"
import { Card, Empty, Loading, Metric, openedAfter, PageTitle, Sparkline, Window } from "../ui/parts.tsx"
import { useSession } from "../ui/useLive.ts"
import { Mark } from "./Timeline.tsx"

/** They outlive the page, so that one comes back to what one saw. */
const search = signal("")
const filter = signal<Filter>("all")
const order = signal<Order>("trouble")

/** For text of 14 points. On large screens it is larger, and so are the tiles. */
const base = { minWidth: 292, rowHeight: 174, gap: 12, points: 14 } as const
/** More operations than that, and what happened lately stands beside them only. */
const few = 12
const latestShown = 10
const sparkPoints = 60

/** What of a state changes by itself, and when. */
export const remaining = (tile: Pick<Circuit, "state" | "retryAt" | "expiresAt">, at: number): string | undefined => {
  const until = factsOf(tile.state).tone === "held" ? tile.expiresAt : tile.retryAt
  if (until === undefined) return undefined
  return until <= at ? (tile.state === "open" ? "probe due" : undefined) : countdown(until - at)
}

const rateTone = (rate: number | undefined): string | undefined =>
  rate === undefined || rate >= 0.99 ? undefined : rate < 0.95 ? "bad" : "trying"

const TileCard = ({
  index,
  isFocusable,
  live,
  of,
  tile
}: {
  readonly tile: Tile
  readonly live: Live
  readonly index: number
  readonly of: number
  readonly isFocusable: boolean
}) => {
  const series = live.operations.get(tile.name)?.series
  const [calls, failed, rejected] = (["calls", "failed", "rejected"] as const).map(
    (column) => series?.column(column, sparkPoints) ?? []
  )
  const { tone } = factsOf(tile.state)
  const left = tile.state === "closed" ? undefined : remaining(tile, now.value + (live.now - Date.now()))
  return (
    <li aria-setsize={of} aria-posinset={index + 1}>
      <a
        class={`tile edge-${tone}`}
        href={hrefOf({ page: "operation", name: tile.name })}
        data-index={index}
        data-operation={tile.name}
        data-state={tile.state}
        tabIndex={isFocusable ? 0 : -1}
      >
        <span class="tile-head">
          <span class="tile-name" title={tile.name}>
            {tile.name}
          </span>
          <StateBadge state={tile.state} note={left} />
        </span>
        <span class="tile-sub">
          <span class="ellipsis">{tile.strategy}</span>
          {tile.circuits > 1 ? <span>{`${tile.openCircuits} of ${tile.circuits} circuits in trouble`}</span> : null}
        </span>
        <span class="tile-main">
          <Sparkline values={calls!} bad={failed!.map((value, at) => value + (rejected![at] ?? 0))} />
          <span class="tile-rate">
            <span class={`big ${rateTone(tile.successRate) === undefined ? "" : `tone-${rateTone(tile.successRate)}`}`}>
              {percent(tile.successRate)}
            </span>
            <span class="small-label">success, 1 min</span>
          </span>
        </span>
        <dl class="tile-metrics">
          <Metric label="p50" value={tile.p50 === 0 ? none : millis(tile.p50)} />
          <Metric label="p95" value={tile.p95 === 0 ? none : millis(tile.p95)} />
          <Metric label="p99" value={tile.p99 === 0 ? none : millis(tile.p99)} />
          <Metric label="calls/s" value={tile.callsPerSecond === undefined ? none : count(tile.callsPerSecond)} />
          <Metric
            label="att./call"
            value={tile.attemptsPerCall === undefined ? none : tile.attemptsPerCall.toFixed(2)}
          />
          <Metric label="in flight" value={count(tile.inFlight)} />
        </dl>
        {tile.window === undefined ? null : (
          <span class="tile-window">
            <Window {...tile.window} isOpen={tile.state === "open"} />
            <span class="small-label">
              {tile.state === "open"
                ? openedAfter(tile.window.filled)
                : `${tile.window.filled} / ${tile.window.size} failures`}
            </span>
          </span>
        )}
      </a>
    </li>
  )
}

/** The scrolling element is the page's `main`. */
const useViewport = (list: { readonly current: HTMLElement | null }): Viewport & { readonly points: number } => {
  const [viewport, setViewport] = useState({ scrollTop: 0, height: 900, width: 1200, points: 14 })
  useLayoutEffect(() => {
    const main = list.current?.closest("main")
    const element = list.current
    if (main === null || main === undefined || element === null) return
    let asked: number | undefined
    const read = (): void => {
      asked = undefined
      const top = element.getBoundingClientRect().top - main.getBoundingClientRect().top
      setViewport({
        scrollTop: Math.max(0, -top),
        height: main.clientHeight,
        width: element.clientWidth,
        points: Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
      })
    }
    const ask = (): void => void (asked ??= requestAnimationFrame(read))
    read()
    const observer = new ResizeObserver(ask)
    observer.observe(main)
    observer.observe(element)
    main.addEventListener("scroll", ask, { passive: true })
    return () => {
      if (asked !== undefined) cancelAnimationFrame(asked)
      observer.disconnect()
      main.removeEventListener("scroll", ask)
    }
  }, [])
  return viewport
}

const Tiles = ({ live, tiles }: { readonly live: Live; readonly tiles: ReadonlyArray<Tile> }) => {
  const list = useRef<HTMLDivElement>(null)
  const viewport = useViewport(list)
  const [focused, setFocused] = useState<string | undefined>(undefined)
  const scale = viewport.points / base.points
  const grid = { minWidth: base.minWidth * scale, rowHeight: Math.round(base.rowHeight * scale), gap: base.gap }
  const shown = visible(tiles.length, viewport, grid)
  const wanted = useRef<number | undefined>(undefined)

  useEffect(() => {
    // The tile may be drawn only now, after the list was scrolled to it.
    if (wanted.current === undefined) return
    const link = list.current?.querySelector<HTMLElement>(`[data-index="${wanted.current}"]`)
    if (link === null || link === undefined) return
    wanted.current = undefined
    link.focus({ preventScroll: true })
    link.scrollIntoView({ block: "nearest" })
  })

  const onKeyDown = (event: KeyboardEvent): void => {
    const from = Number((event.target as HTMLElement).dataset["index"] ?? NaN)
    const to = Number.isNaN(from) ? undefined : moved(event.key, from, tiles.length, shown.columns)
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    wanted.current = to
    setFocused(tiles[to]!.name)
    const main = list.current?.closest("main")
    if (main !== null && main !== undefined && (to < shown.from || to >= shown.to)) {
      const step = grid.rowHeight + grid.gap
      main.scrollTop += Math.floor(to / shown.columns) * step - viewport.scrollTop
    }
  }

  const first = tiles.some(({ name }) => name === focused) ? focused : tiles[shown.from]?.name
  return (
    <div class="tiles" ref={list} style={{ height: `${shown.height}px` }}>
      <ul
        class="tiles-window"
        aria-label="Operations"
        style={{
          transform: `translateY(${shown.top}px)`,
          gridTemplateColumns:
            tiles.length < shown.columns
              ? `repeat(${tiles.length}, minmax(0, ${2 * grid.minWidth}px))`
              : `repeat(${shown.columns}, minmax(0, 1fr))`,
          gridAutoRows: `${grid.rowHeight}px`,
          gap: `${grid.gap}px`
        }}
        onKeyDown={onKeyDown}
        onFocusIn={(event: FocusEvent) => setFocused((event.target as HTMLElement).dataset["operation"])}
      >
        {tiles.slice(shown.from, shown.to).map((tile, index) => (
          <TileCard
            key={tile.name}
            tile={tile}
            live={live}
            index={shown.from + index}
            of={tiles.length}
            isFocusable={tile.name === first}
          />
        ))}
      </ul>
    </div>
  )
}

const Summary = ({ live, tiles }: { readonly live: Live; readonly tiles: ReadonlyArray<Tile> }) => {
  const all = totals(tiles)
  const alerts = live.alerts.value?.filter(({ status, level }) => status === "active" && level !== "info").length
  return (
    <dl class="summary" aria-label="All operations">
      <Metric label="Operations" value={String(all.operations)} />
      <Metric label="Open" value={String(all.open)} tone={all.open > 0 ? "bad" : undefined} />
      <Metric label="Half-open" value={String(all.halfOpen)} tone={all.halfOpen > 0 ? "trying" : undefined} />
      <Metric label="Held" value={String(all.held)} tone={all.held > 0 ? "held" : undefined} />
      <Metric
        label="Success"
        hint="Over the latest minute"
        value={percent(all.successRate)}
        tone={rateTone(all.successRate)}
      />
      <Metric label="Calls/s" value={count(all.callsPerSecond)} />
      <Metric label="In flight" value={count(all.inFlight)} />
      <Metric
        label="Alerts"
        value={alerts === undefined ? none : String(alerts)}
        tone={(alerts ?? 0) > 0 ? "trying" : undefined}
      />
    </dl>
  )
}

/** What happened lately, for who has room to see it. */
const Latest = ({ live }: { readonly live: Live }) => {
  const entries = live.entries.value.slice(0, latestShown)
  return (
    <Card
      title="Latest"
      class="latest"
      aside={
        <a class="button small" href={hrefOf({ page: "timeline" })}>
          All events
        </a>
      }
    >
      {entries.length === 0 ? (
        <p class="help">Nothing has happened yet.</p>
      ) : (
        <ol class="latest-list">
          {entries.map((entry) => (
            <li key={entry.id} class="latest-entry">
              <Mark entry={entry} />
              <span class="wrap">
                {entry.title}
                {entry.detail === "" ? null : <span class="entry-detail">{entry.detail}</span>}
              </span>
              <span class="entry-time">{clock(entry.at)}</span>
            </li>
          ))}
        </ol>
      )}
    </Card>
  )
}

export const Overview = () => {
  const { live } = useSession()
  live.follow()
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLElement && event.target.matches("input, select, textarea")
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      input.current?.focus()
    }
    addEventListener("keydown", onKey)
    return () => removeEventListener("keydown", onKey)
  }, [])

  const all = Array.from(live.operations.values(), ({ tile }) => tile)
  const shown = arrange(all, { filter: filter.value, order: order.value, search: search.value })
  if (!live.isLoaded.value) {
    return (
      <>
        <PageTitle>Overview</PageTitle>
        <Loading what="operations" />
      </>
    )
  }
  return (
    <>
      <PageTitle>Overview</PageTitle>
      <Summary live={live} tiles={all} />
      <div class="toolbar">
        <label class="search">
          <Icon name="search" size={16} />
          <span class="hidden">Search operations</span>
          <input
            ref={input}
            type="search"
            placeholder="Search (press /)"
            value={search.value}
            onInput={(event) => (search.value = event.currentTarget.value)}
          />
        </label>
        <div class="chips" role="group" aria-label="Filter">
          {(Object.keys(filters) as Array<Filter>).map((name) => (
            <button
              type="button"
              key={name}
              class="chip"
              aria-pressed={filter.value === name}
              onClick={() => (filter.value = name)}
            >
              {name === "open" || name === "half_open" || name === "isolated" ? (
                <StateIcon state={name} size={12} />
              ) : null}
              {filters[name].label}
              <span class="chip-count">{all.filter((tile) => filters[name].holds(tile)).length}</span>
            </button>
          ))}
        </div>
        <label class="sort">
          <span>Sort by</span>
          <select
            value={order.value}
            onChange={(event) => {
              const { value } = event.currentTarget
              if (isOrder(value)) order.value = value
            }}
          >
            {Object.entries(orders).map(([name, { label }]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <span class="hidden" role="status">{`${plural(shown.length, "operation")} shown`}</span>
      </div>
      {all.length === 0 ? (
        <Empty title="No operation yet">
          Operations appear when they are called, or at once if their names are given to the configuration.
        </Empty>
      ) : shown.length === 0 ? (
        <Empty title="No operation matches">
          <button
            type="button"
            class="button"
            onClick={() => {
              search.value = ""
              filter.value = "all"
            }}
          >
            Show all
          </button>
        </Empty>
      ) : (
        <div class={all.length <= few ? "overview is-few" : "overview"}>
          <Tiles live={live} tiles={shown} />
          <Latest live={live} />
        </div>
      )}
    </>
  )
}
