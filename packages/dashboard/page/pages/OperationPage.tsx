/**
 * One operation: how it does, what protects it, why calls were refused, and the
 * commands of its circuits.
 */
import { useEffect, useState } from "preact/hooks"
import { sentence } from "../api/client.ts"
import type { Decision, Operation, OperationDetails } from "../api/types.ts"
import { strategies as strategyNames } from "../model/configForm.ts"
import { clock, count, countdown, millis, none, percent, plural } from "../model/format.ts"
import { ofLimits, ofWindow, overridesOf } from "../model/gauges.ts"
import type { Circuit } from "../model/overview.ts"
import { commonSource, descriptionOf, pipelineOf, strategySource } from "../model/pipeline.ts"
import { factsOf } from "../model/states.ts"
import { bands } from "../model/timeline.ts"
import { now } from "../store/clock.ts"
import type { Known } from "../store/live.ts"
import { hrefOf } from "../model/routes.ts"
import { show } from "../store/toasts.ts"
import { Chart } from "../ui/Chart.tsx"
import { Dialog } from "../ui/Dialog.tsx"
import { Findings } from "../ui/Findings.tsx"
import { Icon, StateBadge, StateIcon } from "../ui/icons.tsx"
import { Card, Empty, GaugeBar, Loading, Metric, PageTitle, Trouble, Window } from "../ui/parts.tsx"
import { type Chosen, CommandDialog, Commands, held } from "../ui/Steer.tsx"
import { useLoaded, useSession } from "../ui/useLive.ts"
import { remaining } from "./Overview.tsx"

const spans = [60_000, 180_000, 600_000] as const

const Charts = ({ known, name, span }: { readonly known: Known; readonly name: string; readonly span: number }) => {
  const { live } = useSession()
  const { series, tile } = known
  const to = live.now
  const all = series.column("at")
  // While little is known, it fills the chart.
  const range = { from: Math.max(to - span, Math.min(all[0] ?? to, to - spans[0])), to }
  const first = all.findIndex((at) => at >= range.from)
  const latest = first === -1 ? 0 : all.length - first
  const at = series.column("at", latest)
  const column = (name: Parameters<typeof series.column>[0]) => series.column(name, latest)
  const common = { at, range, bands: bands(live.entries.value, name, { ...range, now: tile.state }) }
  return (
    <div class="charts">
      <section class="card" aria-label="Latency">
        <Chart
          {...common}
          title="Latency"
          show={millis}
          lines={[
            { label: "p99", name: "line-p99", values: column("p99"), dash: [2, 3] },
            { label: "p95", name: "line-p95", values: column("p95") },
            { label: "p50", name: "line-p50", values: column("p50"), dash: [7, 4] }
          ]}
        />
      </section>
      <section class="card" aria-label="Outcomes">
        <Chart
          {...common}
          title="Outcomes per second"
          show={count}
          isStacked
          lines={[
            { label: "rejected", name: "line-rejected", values: column("rejected") },
            { label: "failed", name: "line-failed", values: column("failed") },
            { label: "succeeded", name: "line-ok", values: column("succeeded") }
          ]}
        />
      </section>
      <section class="card" aria-label="Attempts">
        <Chart
          {...common}
          title="Attempts per call"
          show={count}
          lines={[{ label: "attempts", name: "line-attempts", values: column("attemptsPerCall") }]}
        />
      </section>
      <section class="card" aria-label="In flight">
        <Chart
          {...common}
          title="Calls in flight"
          show={count}
          lines={[{ label: "in flight", name: "line-inflight", values: column("inFlight") }]}
        />
      </section>
    </div>
  )
}

const Pipeline = ({
  details,
  operation
}: {
  readonly operation: Operation
  readonly details: OperationDetails | undefined
}) => {
  const { client } = useSession()
  const [strategies] = useLoaded((signal) => client.get("/strategies", { signal }), [operation.version])
  const [configuration] = useLoaded((signal) => client.get("/config", { signal }), [operation.version])
  const { findings, order, reasons, worstCase } = descriptionOf(details ?? {})
  const stages = pipelineOf(
    details ?? operation,
    strategies._tag === "Loaded" ? strategies.value : undefined,
    configuration._tag === "Loaded" ? configuration.value : undefined,
    order
  )
  return (
    <Card title="Pipeline" class="pipeline-card" aside={<span>from the outside in</span>}>
      {findings.length === 0 ? null : (
        <div class="pipeline-findings">
          <h3>Findings</h3>
          <Findings findings={findings} />
        </div>
      )}
      <ol class="pipeline">
        {stages.map((stage) => {
          const common = commonSource(stage)
          return (
            <li class="stage" key={stage.name}>
              <div class="stage-title">
                <span>{stage.title}</span>
                {common === undefined ? null : <span class={`tag from-${common.kind}`}>{common.text}</span>}
              </div>
              <div class="help">{stage.meaning}</div>
              {stage.numbers.length === 0 ? null : (
                <table>
                  <caption class="hidden">{stage.title}: numbers in force, each with its source</caption>
                  <tbody>
                    {stage.numbers.map(({ name, source, value }) => (
                      <tr key={name}>
                        <th scope="row">{name}</th>
                        <td class="number">
                          {value}
                          {common === undefined ? null : <span class="hidden">, {source.text}</span>}
                        </td>
                        {common === undefined ? (
                          <td>
                            <span class={`tag from-${source.kind}`}>{source.text}</span>
                          </td>
                        ) : null}
                      </tr>
                    ))}
                  </tbody>
                </table>
              )}
            </li>
          )
        })}
        <li class="stage">
          <div class="stage-title">The call</div>
        </li>
      </ol>
      {worstCase.length === 0 ? null : (
        <div class="below">
          <h3>At worst</h3>
          <dl class="numbers worst">
            {worstCase.map(({ name, value }) => (
              <Metric key={name} label={name} value={value} />
            ))}
          </dl>
        </div>
      )}
      {reasons.length === 0 ? null : (
        <div class="below">
          <h3>It can end a call with</h3>
          <ul class="tags">
            {reasons.map((reason) => (
              <li key={reason} class="tag mono">
                {reason}
              </li>
            ))}
          </ul>
        </div>
      )}
    </Card>
  )
}

const overrideNames = { isolated: "isolate", disabled: "disable", metrics_only: "metrics-only" } as const

/** What a circuit counts, and what operators have laid over it. */
const CircuitCard = ({
  circuit,
  isOnly,
  onChoose
}: {
  readonly circuit: Circuit
  readonly isOnly: boolean
  readonly onChoose: (chosen: Chosen) => void
}) => {
  const { client, live } = useSession()
  const { name, state } = circuit
  const [details, again] = useLoaded(
    (signal) => client.get("/circuit-breakers/:breaker_name", { params: { breaker_name: name }, signal }),
    [name],
    1_500
  )
  // What the page hears of the circuit is newer than what it asked for.
  useEffect(again, [state])
  const at = now.value + (live.now - Date.now())
  const aside = isOnly ? undefined : <span class="wrap">{name}</span>
  if (details._tag !== "Loaded") {
    return (
      <Card title="Circuit" class="gauges-card" aside={aside}>
        {details._tag === "Loading" ? <Loading what="the circuit" /> : <Trouble text={details.text} onRetry={again} />}
      </Card>
    )
  }
  const overrides = overridesOf(details.value).filter(({ expiresAt }) => expiresAt === undefined || expiresAt > at)
  const windows = details.value.window.map(ofWindow)
  return (
    <Card title="Circuit" class="gauges-card" aside={aside}>
      {overrides.length === 0 ? null : (
        <ol class="overrides" aria-label="Overrides, the strongest first">
          {overrides.map(({ actor, expiresAt, mode, reason }, index) => (
            <li key={mode} class="override" data-mode={mode}>
              <StateIcon state={mode} size={16} />
              <div class="override-text">
                <p>
                  <strong>{factsOf(mode).label}</strong>{" "}
                  <span class="muted">{index === 0 ? "in force" : "underneath"}</span>{" "}
                  <span class="override-left">{held(expiresAt === undefined ? undefined : expiresAt - at)}</span>
                </p>
                <p class="wrap">“{reason}”</p>
                {actor === undefined ? null : <p class="help">by key {actor}</p>}
              </div>
              <button
                type="button"
                class="button small"
                aria-label={`End ${factsOf(mode).label.toLowerCase()} of ${name}`}
                title={`Takes back ${overrideNames[mode]}`}
                onClick={() => onChoose({ circuit: name, command: "release", mode })}
              >
                End
              </button>
            </li>
          ))}
        </ol>
      )}
      {windows.length === 0 ? (
        <p class="help">
          {state === "open"
            ? "Open: nothing is counted until the probes decide."
            : state === "half_open"
              ? "Half-open: the probes decide, and nothing else is counted."
              : "Nothing is counted now."}
        </p>
      ) : (
        windows.map((gauge) => <GaugeBar key={gauge.id} gauge={gauge} />)
      )}
    </Card>
  )
}

/** What stands at bulkheads, rate limits and retry budgets. */
const Limits = ({ askedAt, details }: { readonly details: OperationDetails; readonly askedAt: number }) => {
  const gauges = ofLimits(details)
  if (gauges.length === 0) return null
  return (
    <Card title="Limits" class="gauges-card" aside={<span>in the order of a call</span>}>
      {gauges.map((gauge) => {
        const left = gauge.pausedMillis === undefined ? 0 : gauge.pausedMillis - (now.value - askedAt)
        return <GaugeBar key={gauge.id} gauge={gauge} left={left > 0 ? countdown(left) : undefined} />
      })}
    </Card>
  )
}

const verdictTones = { succeeded: "good", failed: "trying", rejected: "bad", interrupted: "quiet" } as const

const DecisionRow = ({ decision }: { readonly decision: Decision }) => (
  <tr>
    <td class="nowrap muted">{clock(Date.parse(decision.timestamp))}</td>
    <td class="nowrap">
      <span class={`tone-${verdictTones[decision.verdict]}`}>{decision.verdict}</span>
    </td>
    <td class="sentence">
      {decision.explanation}
      {decision.error === null || decision.verdict === "rejected" ? null : (
        <span class="muted"> · {decision.error}</span>
      )}
    </td>
    <td class="number muted narrow-hidden">{millis(decision.elapsed_seconds * 1000)}</td>
  </tr>
)

const Decisions = ({ name }: { readonly name: string }) => {
  const { client } = useSession()
  const [decisions, again] = useLoaded(
    (signal) => client.get("/decisions", { query: { operation: name, limit: 50 }, signal }),
    [name],
    3_000
  )
  return (
    <Card title="Decisions" aside={<span>all refusals, a sample of the rest</span>}>
      {decisions._tag === "Loading" ? (
        <Loading what="decisions" />
      ) : decisions._tag === "Failed" ? (
        <Trouble text={decisions.text} onRetry={again} />
      ) : decisions.value.decisions.length === 0 ? (
        <Empty title="No decision yet">Refused calls are told here, each in a sentence.</Empty>
      ) : (
        <div class="decisions" role="region" aria-label="Decisions, newest first" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Verdict</th>
                <th scope="col">Why</th>
                <th scope="col" class="number narrow-hidden">
                  Took
                </th>
              </tr>
            </thead>
            <tbody>
              {decisions.value.decisions.map((decision) => (
                <DecisionRow key={decision.id} decision={decision} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  )
}

const maxCircuits = 100

const byTrouble = (circuits: ReadonlyArray<Circuit>): ReadonlyArray<Circuit> =>
  circuits.toSorted((a, b) => factsOf(b.state).trouble - factsOf(a.state).trouble || b.failures - a.failures)

const Circuits = ({
  circuits,
  hasOverrides,
  looked,
  onChoose,
  onLook
}: {
  readonly hasOverrides: boolean
  readonly circuits: ReadonlyArray<Circuit>
  readonly looked: string | undefined
  readonly onLook: (circuit: string) => void
  readonly onChoose: (chosen: Chosen) => void
}) => {
  const { live } = useSession()
  const at = now.value + (live.now - Date.now())
  const worstFirst = byTrouble(circuits)
  return (
    <Card title="Circuits" aside={circuits.length > maxCircuits ? <span>the worst {maxCircuits}</span> : undefined}>
      <div class="scroll" role="region" aria-label="Circuits" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Circuit</th>
              <th scope="col">State</th>
              <th scope="col">Failures</th>
              <th scope="col">Commands</th>
            </tr>
          </thead>
          <tbody>
            {worstFirst.slice(0, maxCircuits).map((circuit) => (
              <tr key={circuit.name}>
                <td>
                  <button
                    type="button"
                    class="link wrap"
                    aria-pressed={circuit.name === looked}
                    title="Show what it counts"
                    onClick={() => onLook(circuit.name)}
                  >
                    {circuit.name}
                  </button>
                </td>
                <td>
                  <StateBadge
                    state={circuit.state}
                    note={circuit.state === "closed" ? undefined : remaining(circuit, at)}
                  />
                </td>
                <td>
                  <Window filled={Math.min(circuit.failures, circuit.threshold)} size={circuit.threshold} />
                </td>
                <td>
                  <span class="row">
                    <Commands circuit={circuit} hasOverrides={hasOverrides} onChoose={onChoose} size="small" />
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  )
}

/** A strategy over what code and preset chose. */
const StrategyDialog = ({ onClose, operation }: { readonly operation: Operation; readonly onClose: () => void }) => {
  const { client, live } = useSession()
  const [choice, setChoice] = useState<string>(
    operation.source === "operator"
      ? operation.strategy
      : (strategyNames.find((name) => name !== operation.strategy) ?? "")
  )
  const [reason, setReason] = useState("")
  const [isAsking, setAsking] = useState(false)
  const [fault, setFault] = useState<string | undefined>(undefined)
  // The version that is confirmed is the one that was seen first.
  const [version] = useState(operation.version)

  const put = (strategy: string | null, version: number) =>
    client.put("/operations/:operation_name", {
      params: { operation_name: operation.name },
      body: { strategy: strategy as "balanced" | null, ...(reason.trim() === "" ? {} : { reason: reason.trim() }) },
      version
    })

  const onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (!isAsking) return setAsking(true)
    const reply = await put(choice === "" ? null : choice, version)
    if (!reply.ok) return setFault(sentence(reply.problem))
    const before = operation.source === "operator" ? operation.strategy : null
    show({
      tone: "good",
      text: `${operation.name} runs with ${reply.body.strategy}.`,
      undo: {
        label: "Undo",
        run: () =>
          void put(before, reply.body.version).then((undone) => {
            live.refresh()
            show(
              undone.ok
                ? { tone: "good", text: `Undone: ${operation.name} runs with ${undone.body.strategy}.` }
                : { tone: "bad", text: `Not undone. ${sentence(undone.problem)}` }
            )
          })
      }
    })
    live.refresh()
    onClose()
  }

  return (
    <Dialog
      title={isAsking ? `Change the strategy of ${operation.name}?` : `Strategy of ${operation.name}`}
      onClose={onClose}
    >
      <form class="cards" onSubmit={(event) => void onSubmit(event)}>
        {isAsking ? (
          <p>
            <span class="diff-from">{operation.strategy}</span> →{" "}
            <span class="diff-to">{choice === "" ? "what code and preset choose" : choice}</span>, until the process
            ends or the configuration is reset.
          </p>
        ) : (
          <>
            <p>
              Now <strong>{operation.strategy}</strong>, {strategySource(operation)}.
            </p>
            <label class="field">
              <span class="field-label">Strategy</span>
              <select value={choice} onChange={(event) => setChoice(event.currentTarget.value)}>
                {strategyNames.map((name) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
                <option value="">what code and preset choose</option>
              </select>
            </label>
            <label class="field">
              <span class="field-label">Reason (optional)</span>
              <input value={reason} maxLength={200} onInput={(event) => setReason(event.currentTarget.value)} />
            </label>
          </>
        )}
        {fault === undefined ? null : <Trouble text={fault} />}
        <div class="actions">
          <span class="steps">Step {isAsking ? 2 : 1} of 2</span>
          <button type="button" class="button" onClick={isAsking ? () => setAsking(false) : onClose}>
            {isAsking ? "Back" : "Cancel"}
          </button>
          <button type="submit" class="button primary">
            {isAsking ? "Change" : "Next"}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

export const OperationPage = ({ name }: { readonly name: string }) => {
  const { live } = useSession()
  live.follow()
  const [span, setSpan] = useState<number>(spans[1])
  const [chosen, setChosen] = useState<Chosen | undefined>(undefined)
  const [lookedAt, lookAt] = useState<string | undefined>(undefined)
  const [isChanging, setChanging] = useState(false)
  const known = live.operations.get(name)
  const { client } = useSession()
  const [details] = useLoaded(
    async (signal) => {
      const reply = await client.get("/operations/:operation_name", { params: { operation_name: name }, signal })
      return reply.ok ? { ...reply, body: { details: reply.body, askedAt: Date.now() } } : reply
    },
    [name, known?.operation.version, known?.operation.strategy],
    2_000
  )
  const back = (
    <a class="button small" href={hrefOf({ page: "overview" })}>
      <Icon name="back" size={14} />
      Overview
    </a>
  )
  if (known === undefined) {
    return (
      <>
        <PageTitle aside={back}>{name}</PageTitle>
        {live.isLoaded.value ? (
          <Empty title="There is no such operation">It may run in another process, or was not called yet.</Empty>
        ) : (
          <Loading what="the operation" />
        )}
      </>
    )
  }
  const { operation, tile } = known
  const circuits = Array.from(known.circuits.values())
  const only = circuits.length === 1 ? circuits[0] : undefined
  const hasOverrides = live.hasOverrides.value
  const at = now.value + (live.now - Date.now())
  const isHeld = only !== undefined && factsOf(only.state).tone === "held"
  const shown = only ?? circuits.find(({ name }) => name === lookedAt) ?? byTrouble(circuits)[0]
  return (
    <>
      <PageTitle
        aside={
          <>
            {only === undefined ? null : <Commands circuit={only} hasOverrides={hasOverrides} onChoose={setChosen} />}
            <button type="button" class="button" onClick={() => setChanging(true)}>
              Strategy…
            </button>
          </>
        }
        lead={
          <>
            {operation.strategy}, {strategySource(operation)}
            {operation.alias === null ? "" : ` · also called ${operation.alias}`}
            {operation.total_circuit_breakers > 1 ? ` · ${plural(operation.total_circuit_breakers, "circuit")}` : ""}
          </>
        }
      >
        {name}
      </PageTitle>
      <div class="state-line" data-state={tile.state}>
        <StateIcon state={tile.state} size={20} />
        <strong>{factsOf(tile.state).label}</strong>
        <span>{factsOf(tile.state).meaning}</span>
        {tile.state === "closed" || tile.state === "none" ? null : (
          <span class="state-left">
            {isHeld ? held(only.expiresAt === undefined ? undefined : only.expiresAt - at) : remaining(tile, at)}
          </span>
        )}
        {isHeld && only.reason !== undefined ? (
          <span class="muted">
            “{only.reason}”{only.actor === undefined ? "" : `, by key ${only.actor}`}
          </span>
        ) : null}
      </div>
      <dl class="summary">
        <Metric label="Success" hint="Over the latest minute" value={percent(tile.successRate)} />
        <Metric label="Calls/s" value={tile.callsPerSecond === undefined ? none : count(tile.callsPerSecond)} />
        <Metric label="p50" value={millis(tile.p50)} />
        <Metric label="p95" value={millis(tile.p95)} />
        <Metric label="p99" value={millis(tile.p99)} />
        <Metric label="In flight" value={count(tile.inFlight)} />
        <Metric label="Calls" hint="In all" value={count(operation.metrics.total_calls)} />
        <Metric label="Fallbacks" hint="In all" value={count(operation.counters.fallbacks)} />
      </dl>
      <div class="toolbar">
        <div class="chips" role="group" aria-label="Time that is shown">
          {spans.map((each) => (
            <button type="button" class="chip" key={each} aria-pressed={span === each} onClick={() => setSpan(each)}>
              {each / 60_000} min
            </button>
          ))}
        </div>
        <span class="help">Since this page was opened. Shaded: the circuit was not closed.</span>
        <span class="sort back">{back}</span>
      </div>
      <div class="split">
        <div class="split-main">
          <Charts known={known} name={name} span={span} />
          <Decisions name={name} />
        </div>
        <div class="split-aside">
          <div class="gauges">
            {shown === undefined ? null : (
              <CircuitCard circuit={shown} isOnly={only !== undefined} onChoose={setChosen} />
            )}
            {details._tag === "Loaded" ? <Limits {...details.value} /> : null}
          </div>
          <Pipeline operation={operation} details={details._tag === "Loaded" ? details.value.details : undefined} />
        </div>
      </div>
      {circuits.length > 1 ? (
        <Circuits
          circuits={circuits}
          hasOverrides={hasOverrides}
          onChoose={setChosen}
          looked={shown?.name}
          onLook={lookAt}
        />
      ) : null}
      {chosen === undefined ? null : <CommandDialog {...chosen} onClose={() => setChosen(undefined)} />}
      {isChanging ? <StrategyDialog operation={operation} onClose={() => setChanging(false)} /> : null}
    </>
  )
}
