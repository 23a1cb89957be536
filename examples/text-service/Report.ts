/**
 * Says on the terminal what the circuits do: a line a second for each
 * operation, every transition with its reason, and a summary.
 */
import { Clock, Console, DateTime, Duration, Effect, Schedule, Stream } from "effect"
import { type CircuitBreaker, type Operation, Registry, type ResilienceEvent } from "breakwater"
import { names } from "./TextService.ts"
import type { Counts } from "./Traffic.ts"

interface Report {
  /** Prints a line for each operation every second. */
  readonly lines: Effect.Effect<void>
  /** Prints one line of its own. */
  readonly note: (text: string) => Effect.Effect<void>
  /** Prints the table, and returns how many circuits opened and which have not recovered. */
  readonly summary: (counts: Counts) => Effect.Effect<{ readonly opened: number; readonly open: ReadonlyArray<string> }>
}

export const legend = [
  "One line a second for each operation. `calls` and `attempts` began in that second; `success` is the",
  "share of its calls that the model answered: the others got a fallback. `p50` and `p95` are the",
  "times of all calls since the start.",
  "",
  `${"time".padStart(8)}  ${"operation".padEnd(18)}  ${"state".padEnd(9)}  calls  attempts  success       p50       p95`
]

/** Starts to listen for transitions at once. */
export const make = Effect.fnUntraced(function* (options: { readonly colours: boolean }) {
  const resilience = yield* Registry
  const start = yield* Clock.currentTimeMillis
  const paint = painter(options.colours)
  const before = new Map<string, Operation.Counters>()
  const outages = new Map<string, Array<Outage>>()

  const print = (at: number, text: string) => Console.log(`${seconds(at - start).padStart(8)}  ${text}`)
  const note = (text: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => print(now, paint(`= ${text}`, "strong")))

  yield* resilience.events.pipe(
    Stream.runForEach((event) => {
      const told = transition(event)
      if (told === undefined || !("operation" in event)) return Effect.void
      const at = DateTime.toEpochMillis(event.at)
      const own = follow(outages.get(event.operation) ?? [], told.to, at)
      if (own.length > 0) outages.set(event.operation, own)
      return print(at, `* ${event.operation}: ${told.from} → ${paint(told.to, told.to)}, ${told.because}`)
    }),
    Effect.forkScoped({ startImmediately: true })
  )

  const snapshots = Effect.map(resilience.operations, (all) => all.toSorted((a, b) => order(a.name) - order(b.name)))

  const tick = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    for (const snapshot of yield* snapshots) {
      yield* print(now, line(snapshot, before.get(snapshot.name), paint))
      before.set(snapshot.name, snapshot.counters)
    }
  })

  const summary = Effect.fnUntraced(function* (counts: Counts) {
    const all = yield* snapshots
    const rows = all.map((snapshot) => row(snapshot, outages.get(snapshot.name) ?? []))
    const open = all.flatMap((snapshot) => snapshot.circuits).filter((circuit) => circuit.state !== "closed")
    yield* Console.log(["", ...table(rows), "", answers(counts)].join("\n"))
    return { opened: outages.size, open: open.map((circuit) => `${circuit.name} is ${circuit.state}`) }
  })

  return {
    lines: tick.pipe(Effect.repeat(Schedule.fixed("1 second")), Effect.delay("1 second"), Effect.asVoid),
    note,
    summary
  } satisfies Report
})

const order = (name: string): number => names.findIndex((each) => each === name)

/** From the moment a circuit opened to the one in which it closed again. */
interface Outage {
  readonly from: number
  readonly to: number | undefined
}

interface Transition {
  readonly from: CircuitBreaker.State
  readonly to: CircuitBreaker.State
  readonly because: string
}

const transition = (event: ResilienceEvent.ResilienceEvent): Transition | undefined => {
  switch (event._tag) {
    case "CircuitOpened": {
      const because = {
        failures: `${event.failures} failures in a row`,
        probe_failed: "the probe failed",
        probe_lapsed: "the probe did not answer in time",
        operator: "an operator opened it",
        slow_calls: `${event.failures} slow calls`,
        relapsed: "a call failed during the slow start"
      }[event.because]
      return {
        from: event.from,
        to: "open",
        because: `${because}; next probe in ${seconds(Duration.toMillis(event.openFor))}`
      }
    }
    case "CircuitHalfOpened":
      return { from: event.from, to: "half_open", because: "the open time is over; a probe may pass" }
    case "CircuitClosed":
      return {
        from: event.from,
        to: "closed",
        because: event.because === "operator" ? "an operator closed it" : "the probe succeeded"
      }
    case "CircuitOverridden":
      return { from: event.from, to: event.mode, because: `an operator says so (${event.reason})` }
    case "CircuitOverrideEnded":
      return { from: event.from, to: event.to, because: "the operator's override ended" }
    default:
      return undefined
  }
}

const follow = (outages: ReadonlyArray<Outage>, to: CircuitBreaker.State, at: number): Array<Outage> => {
  const last = outages.at(-1)
  const isDown = last !== undefined && last.to === undefined
  if (to === "closed") return isDown ? [...outages.slice(0, -1), { from: last.from, to: at }] : [...outages]
  return isDown ? [...outages] : [...outages, { from: at, to: undefined }]
}

const stateOf = (snapshot: Operation.Snapshot): CircuitBreaker.State | "none" => snapshot.circuits[0]?.state ?? "none"

const line = (snapshot: Operation.Snapshot, before: Operation.Counters | undefined, paint: Painter): string => {
  const { callLatency, counters } = snapshot
  const since = (field: "calls" | "attempts" | "succeeded" | "failed" | "rejected") =>
    counters[field] - (before?.[field] ?? 0)
  const ended = since("succeeded") + since("failed") + since("rejected")
  const state = stateOf(snapshot)
  return [
    snapshot.name.padEnd(18),
    paint(state.padEnd(9), state),
    String(since("calls")).padStart(5),
    String(since("attempts")).padStart(8),
    (ended === 0 ? "-" : `${Math.round((100 * since("succeeded")) / ended)} %`).padStart(7),
    `${Math.round(callLatency.p50)} ms`.padStart(8),
    `${Math.round(callLatency.p95)} ms`.padStart(8)
  ].join("  ")
}

const header = ["operation", "calls", "successes", "fallbacks", "rejections", "attempts saved", "opened → recovered"]

const row = (
  { circuits, counters, name }: Operation.Snapshot,
  outages: ReadonlyArray<Outage>
): ReadonlyArray<string> => [
  name,
  String(counters.calls),
  String(counters.succeeded),
  String(counters.fallbacks),
  String(counters.rejected),
  String(circuits.reduce((sum, circuit) => sum + circuit.counters.rejected, 0)),
  recoveries(outages)
]

const recoveries = (outages: ReadonlyArray<Outage>): string => {
  const shown = outages.slice(outages.length > 3 ? -2 : 0)
  const more = outages.length - shown.length
  return (
    [
      ...(more === 0 ? [] : [`${more} more`]),
      ...shown.map(({ from, to }) => (to === undefined ? "still open" : seconds(to - from)))
    ].join(", ") || "-"
  )
}

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const last = header.length - 1
  return [header, ...rows].map((row) =>
    row
      .map((cell, column) =>
        column === last ? cell : column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
      )
      .join("  ")
  )
}

const answers = ({ answered, failed, sent, skipped }: Counts): string => {
  const waiting = sent - answered - failed
  return [
    `${answered} of ${sent} requests were answered, by the model or by a fallback.`,
    ...(failed === 0 ? [] : [`${failed} failed.`]),
    ...(waiting === 0 ? [] : [`${waiting} were still waiting.`]),
    ...(skipped === 0 ? [] : [`${skipped} were not sent, because too many were waiting.`])
  ].join(" ")
}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

type Painter = (text: string, as: CircuitBreaker.State | "none" | "strong") => string

const codes = {
  closed: 32,
  open: 31,
  half_open: 33,
  isolated: 35,
  disabled: 35,
  metrics_only: 35,
  none: 2,
  strong: 1
} as const

const painter =
  (colours: boolean): Painter =>
  (text, as) =>
    colours ? `\u001b[${codes[as]}m${text}\u001b[0m` : text
