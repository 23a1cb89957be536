/**
 * Commands to a circuit: what and why first, then a question that names the
 * state it was asked in, then the way back.
 */
import { useState } from "preact/hooks"
import { type Client, type Problem, sentence } from "../api/client.ts"
import type { Body, BreakerDetails } from "../api/types.ts"
import {
  bodyOf,
  check,
  type Command,
  commands,
  type Draft,
  listOf,
  maxReason,
  type Mode,
  question,
  undo
} from "../model/commands.ts"
import { countdown, duration } from "../model/format.ts"
import { factsOf } from "../model/states.ts"
import type { Live } from "../store/live.ts"
import { show } from "../store/toasts.ts"
import { Dialog, focusFirst } from "./Dialog.tsx"
import { StateBadge } from "./icons.tsx"
import { Loading, Trouble } from "./parts.tsx"
import { useLoaded, useSession } from "./useLive.ts"

const send = (client: Client, circuit: string, draft: Draft, version: number | undefined) =>
  // One path for each command; their bodies differ and are checked in `bodyOf`.
  client.post(`/circuit-breakers/:breaker_name/${draft.command}` as "/circuit-breakers/:breaker_name/isolate", {
    params: { breaker_name: circuit },
    body: bodyOf(draft) as Body<"POST", "/circuit-breakers/:breaker_name/isolate">,
    version
  })

const past: Readonly<Record<Command, string>> = {
  isolate: "was isolated",
  trip: "was tripped",
  disable: "was disabled",
  "metrics-only": "only counts",
  release: "lost an override",
  close: "was closed",
  reset: "was reset"
}

/** Says what was done and offers the way back, which names the version that it is about as well. */
const report = (
  client: Client,
  live: Live,
  circuit: string,
  draft: Draft,
  before: BreakerDetails,
  version: number
): void => {
  const back = undo(draft, before, live.now)
  const run = async (): Promise<void> => {
    let at = version
    for (const each of back) {
      const reply = await send(client, circuit, each, at)
      if (!reply.ok) {
        show({ tone: "bad", text: `Not undone. ${sentence(reply.problem)}` })
        break
      }
      at = reply.body.version
      if (each !== back.at(-1)) continue
      show({ tone: "good", text: `Undone: ${circuit} is ${factsOf(reply.body.state).label.toLowerCase()}.` })
    }
    live.refresh()
  }
  show({
    tone: "good",
    text: `${circuit} ${past[draft.command]}.`,
    undo: back.length === 0 ? undefined : { label: "Undo", run: () => void run() }
  })
  live.refresh()
}

const expiries = [60, 300, 900, 3_600, 86_400] as const

/** What was chosen, and for which circuit. */
export interface Chosen {
  readonly circuit: string
  readonly command: Command
  /** Which override a release ends. */
  readonly mode?: Mode | undefined
}

export const CommandDialog = ({
  circuit,
  command,
  mode,
  onClose
}: Chosen & {
  readonly onClose: () => void
}) => {
  const { client, live } = useSession()
  const facts = commands[command]
  const [details, again] = useLoaded(
    (signal) => client.get("/circuit-breakers/:breaker_name", { params: { breaker_name: circuit }, signal }),
    [circuit]
  )
  const [draft, setDraft] = useState<Draft>({ command, reason: "", seconds: String(facts.expiry?.seconds ?? ""), mode })
  const [isAsking, setAsking] = useState(false)
  const [wasTried, setTried] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem | undefined>(undefined)
  const faults = wasTried ? check(draft) : {}

  if (details._tag !== "Loaded") {
    return (
      <Dialog title={`${facts.label} ${circuit}`} onClose={onClose}>
        {details._tag === "Loading" ? <Loading what="the circuit" /> : <Trouble text={details.text} onRetry={again} />}
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
        </div>
      </Dialog>
    )
  }
  const before = details.value

  const onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault()
    setTried(true)
    if (Object.keys(check(draft)).length > 0) return
    if (!isAsking) return setAsking(true)
    setBusy(true)
    const reply = await send(client, circuit, draft, before.version)
    setBusy(false)
    if (!reply.ok) return setProblem(reply.problem)
    report(client, live, circuit, draft, before, reply.body.version)
    onClose()
  }

  const isStale = problem?._tag === "Refused" && problem.status === 412
  return (
    <Dialog title={isAsking ? question(draft, circuit) : `${facts.label} ${circuit}`} onClose={onClose}>
      <form class="cards" onSubmit={(event) => void onSubmit(event)} noValidate>
        <p>{facts.effect}</p>
        {isAsking ? (
          <dl class="facts">
            <dt>Now</dt>
            <dd>
              <StateBadge state={before.state} /> <span class="muted">version {before.version}</span>
            </dd>
            {draft.reason.trim() === "" ? null : (
              <>
                <dt>Reason</dt>
                <dd>{draft.reason.trim()}</dd>
              </>
            )}
            {facts.expiry === undefined ? null : (
              <>
                <dt>{facts.expiry.label}</dt>
                <dd>{duration(Number(draft.seconds) * 1000)}</dd>
              </>
            )}
          </dl>
        ) : (
          <>
            <label class="field">
              <span class="field-label">Reason{facts.needsReason ? "" : " (optional)"}</span>
              <input
                name="reason"
                ref={focusFirst}
                autocomplete="off"
                value={draft.reason}
                maxLength={maxReason + 50}
                aria-invalid={faults.reason !== undefined}
                aria-describedby="reason-fault"
                onInput={(event) => setDraft({ ...draft, reason: event.currentTarget.value })}
              />
              <span id="reason-fault" class="fault">
                {faults.reason}
              </span>
            </label>
            {facts.expiry === undefined ? null : (
              <div class="field">
                <label class="field-label" for="seconds">
                  {facts.expiry.label}
                </label>
                <span class="row">
                  <span class="with-unit">
                    <input
                      id="seconds"
                      name="seconds"
                      inputMode="numeric"
                      size={9}
                      value={draft.seconds}
                      aria-invalid={faults.seconds !== undefined}
                      aria-describedby="seconds-fault"
                      onInput={(event) => setDraft({ ...draft, seconds: event.currentTarget.value })}
                    />
                    <span class="unit" aria-hidden="true">
                      s
                    </span>
                  </span>
                  {expiries.map((seconds) => (
                    <button
                      type="button"
                      key={seconds}
                      class="chip"
                      aria-pressed={draft.seconds === String(seconds)}
                      onClick={() => setDraft({ ...draft, seconds: String(seconds) })}
                    >
                      {duration(seconds * 1000)}
                    </button>
                  ))}
                </span>
                <span id="seconds-fault" class="fault">
                  {faults.seconds}
                </span>
              </div>
            )}
          </>
        )}
        {problem === undefined ? null : (
          <Trouble
            text={isStale ? "The circuit changed meanwhile. Look at it again before you go on." : sentence(problem)}
            onRetry={
              isStale
                ? () => {
                    setProblem(undefined)
                    setAsking(false)
                    again()
                  }
                : undefined
            }
          />
        )}
        <div class="actions">
          <span class="steps">Step {isAsking ? 2 : 1} of 2</span>
          <button type="button" class="button" onClick={isAsking ? () => setAsking(false) : onClose}>
            {isAsking ? "Back" : "Cancel"}
          </button>
          <button type="submit" class={`button primary ${facts.isHarsh ? "harsh" : ""}`} disabled={isBusy || isStale}>
            {isAsking ? facts.label : "Next"}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

/** The commands of a circuit. Those that would do nothing in its state are off. */
export const Commands = ({
  circuit,
  hasOverrides,
  onChoose,
  size = ""
}: {
  readonly hasOverrides: boolean
  readonly circuit: { readonly name: string; readonly state: Parameters<typeof factsOf>[0] }
  readonly onChoose: (chosen: Chosen) => void
  readonly size?: string
}) => (
  <>
    {listOf(hasOverrides).map((command) => (
      <button
        type="button"
        key={command}
        class={`button ${size} ${commands[command].isHarsh ? "harsh" : ""}`}
        disabled={!commands[command].from.includes(circuit.state)}
        title={commands[command].effect}
        aria-label={size === "" ? undefined : `${commands[command].label} ${circuit.name}`}
        onClick={() => onChoose({ circuit: circuit.name, command })}
      >
        {commands[command].label}
      </button>
    ))}
  </>
)

/** What holds a circuit, and for how long still. */
export const held = (left: number | undefined): string =>
  left === undefined ? "until it is closed" : left <= 0 ? "about to end" : `${countdown(left)} left`
