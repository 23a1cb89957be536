/**
 * What the process can do, run after run.
 */
import { useEffect, useState } from "preact/hooks"
import { sentence } from "../api/client.ts"
import type { BenchmarkRun, Body } from "../api/types.ts"
import { expected, progress, type Track, tracks } from "../model/benchmarks.ts"
import { duration, millis, moment, none, percent, words } from "../model/format.ts"
import { show } from "../store/toasts.ts"
import { Card, Empty, Loading, PageTitle, Trouble } from "../ui/parts.tsx"
import { useLoaded, useSession } from "../ui/useLive.ts"

const Bars = ({ places, track }: { readonly track: Track; readonly places: number }) => {
  const latest = track.runs.slice(-places)
  const top = Math.max(...latest.map(({ p95 }) => p95), 0.000_1)
  const [width, height, step] = [places * 9, 34, 9]
  return (
    <svg
      class="bars"
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={`${words(track.operation)}: medians of ${latest.length} runs, the latest ${millis(latest.at(-1)?.p50)}`}
    >
      {latest.map((run, index) => {
        const x = index * step
        const [p50, p95] = [run.p50, run.p95].map((value) => Math.max(1.5, (value / top) * (height - 2)))
        return (
          <g key={run.id} class={run.hasRegressed ? "regressed" : ""}>
            <rect class="bar-p95" x={x} y={height - p95!} width={6} height={p95} />
            <rect class="bar-p50" x={x} y={height - p50!} width={6} height={p50} />
          </g>
        )
      })}
    </svg>
  )
}

const changeText = (change: number | undefined): string =>
  change === undefined
    ? none
    : `${change > 0 ? "+" : "−"}${(Math.abs(change) * 100).toFixed(Math.abs(change) < 0.1 ? 1 : 0)}%`

const maxPlaces = 24

const HistoryTable = ({ runs }: { readonly runs: ReadonlyArray<BenchmarkRun> }) => {
  const all = tracks(runs)
  const places = Math.min(maxPlaces, Math.max(6, ...all.map((track) => track.runs.length)))
  return (
    <div class="scroll" role="region" aria-label="Benchmarks" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Benchmark</th>
            <th scope="col" title="p50, and p95 behind it">
              Runs
            </th>
            <th scope="col" class="number">
              p50
            </th>
            <th scope="col" class="number">
              p95
            </th>
            <th scope="col" class="number">
              Change
            </th>
            <th scope="col">Verdict</th>
          </tr>
        </thead>
        <tbody>
          {all.map((track) => {
            const last = track.runs.at(-1)!
            return (
              <tr key={track.operation}>
                <td class="wrap">{words(track.operation)}</td>
                <td>
                  <Bars track={track} places={places} />
                </td>
                <td class="number">{millis(last.p50)}</td>
                <td class="number">{millis(last.p95)}</td>
                <td class={`number ${last.hasRegressed ? "tone-bad" : ""}`}>{changeText(track.change)}</td>
                <td class="nowrap">
                  {last.hasRegressed ? (
                    <span class="tone-bad">slower</span>
                  ) : last.hasPassed ? (
                    <span class="tone-good">passed</span>
                  ) : (
                    <span class="tone-bad">failed</span>
                  )}
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

const limitMillis = 30_000

export const Benchmarks = () => {
  const { client, live } = useSession()
  const [history, again] = useLoaded(
    (signal) => client.get("/performance/history", { query: { limit: 50 }, signal }),
    []
  )
  const [startedAt, setStartedAt] = useState<number | undefined>(undefined)
  const [target, setTarget] = useState("")
  const [iterations, setIterations] = useState("100")
  const [at, setAt] = useState(0)
  useEffect(() => {
    if (startedAt === undefined) return
    const timer = setInterval(() => setAt(Date.now()), 100)
    return () => clearInterval(timer)
  }, [startedAt])

  const runs = history._tag === "Loaded" ? history.value.runs : []
  // Who opens this page first comes before the operations do.
  const operations = live.isLoaded.value ? Array.from(live.operations.keys()) : []
  const kind = target === "" ? "suite" : "load"
  const passed = startedAt === undefined ? 0 : Math.max(0, at - startedAt)
  const share = progress(passed, expected(runs, kind))
  const wanted = Number(iterations)
  const isWrong = !(Number.isInteger(wanted) && wanted >= 1 && wanted <= 10_000)

  const onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (isWrong) return
    const body: Body<"POST", "/performance/benchmark"> = {
      iterations: wanted,
      ...(target === "" ? {} : { operation_name: target })
    }
    setAt(Date.now())
    setStartedAt(Date.now())
    const reply = await client.post("/performance/benchmark", { body })
    setStartedAt(undefined)
    again()
    show(reply.ok ? { tone: "good", text: "The benchmark is done." } : { tone: "bad", text: sentence(reply.problem) })
  }

  return (
    <>
      <PageTitle lead="Measures this process, or puts an operation under load with a synthetic target. One at a time, 30 seconds at most.">
        Benchmarks
      </PageTitle>
      <div class="cards">
        <Card title="Run">
          <form class="row run" onSubmit={(event) => void onSubmit(event)} noValidate>
            <label class="field">
              <span class="field-label">What</span>
              <select value={target} onChange={(event) => setTarget(event.currentTarget.value)}>
                <option value="">this process: the whole suite</option>
                {operations.slice(0, 500).map((name) => (
                  <option key={name} value={name}>
                    {name} under load
                  </option>
                ))}
              </select>
            </label>
            <label class="field">
              <span class="field-label">Iterations</span>
              <input
                inputMode="numeric"
                size={7}
                value={iterations}
                aria-invalid={isWrong}
                aria-describedby="iterations-fault"
                onInput={(event) => setIterations(event.currentTarget.value)}
              />
            </label>
            <button type="submit" class="button primary" disabled={startedAt !== undefined || isWrong}>
              {startedAt === undefined ? "Run" : "Running…"}
            </button>
            <span id="iterations-fault" class="fault">
              {isWrong ? "A whole number from 1 to 10000." : ""}
            </span>
          </form>
          {startedAt === undefined ? null : (
            <div class="below">
              <div
                class="meter"
                role="progressbar"
                aria-label="Benchmark"
                aria-valuemin={0}
                aria-valuemax={100}
                aria-valuenow={Math.round(share * 100)}
              >
                <span style={{ width: `${share * 100}%` }} />
              </div>
              <p class="help">
                {duration(Math.floor(passed / 1000) * 1000)} of at most {duration(limitMillis)}, about{" "}
                {duration(expected(runs, kind))} by the run before
              </p>
            </div>
          )}
        </Card>
        <div class={runs.length === 0 ? "cards" : "cards bench-columns"}>
          <Card title="History" aside={<span>the slowest change first</span>}>
            {history._tag === "Loading" ? (
              <Loading what="the history" />
            ) : history._tag === "Failed" ? (
              <Trouble text={history.text} onRetry={again} />
            ) : runs.length === 0 ? (
              <Empty title="No benchmark has run">Run one to have something to compare with.</Empty>
            ) : (
              <HistoryTable runs={runs} />
            )}
          </Card>
          {runs.length === 0 ? null : (
            <Card title="Runs">
              <div class="scroll" role="region" aria-label="Runs" tabIndex={0}>
                <table>
                  <thead>
                    <tr>
                      <th scope="col">When</th>
                      <th scope="col">Kind</th>
                      <th scope="col" class="number">
                        Benchmarks
                      </th>
                      <th scope="col" class="number">
                        Passed
                      </th>
                      <th scope="col">Became slower</th>
                    </tr>
                  </thead>
                  <tbody>
                    {runs.map((run) => {
                      const slower = run.regression?.changes.filter(({ regressed }) => regressed) ?? []
                      return (
                        <tr key={run.benchmark_id}>
                          <td class="nowrap">{moment(Date.parse(run.timestamp), live.now)}</td>
                          <td>{run.kind}</td>
                          <td class="number">{run.results.length}</td>
                          <td class="number">{percent(run.pass_rate)}</td>
                          <td class="wrap">
                            {run.regression === null
                              ? "nothing to compare with"
                              : slower.length === 0
                                ? "none"
                                : slower
                                    .map(
                                      ({ change_percent, operation }) =>
                                        `${words(operation)} +${change_percent.toFixed(0)}%`
                                    )
                                    .join(", ")}
                          </td>
                        </tr>
                      )
                    })}
                  </tbody>
                </table>
              </div>
            </Card>
          )}
        </div>
      </div>
    </>
  )
}
