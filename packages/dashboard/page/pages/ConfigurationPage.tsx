/**
 * The configuration in force, and its changes: each is shown before it is made,
 * names the version that it is about, and can be taken back.
 */
import type { ComponentChildren } from "preact"
import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import { type Problem, type Reply, sentence } from "../api/client.ts"
import type { Configuration, ConfigurationChange, Difference, Finding } from "../api/types.ts"
import { configOf, type Field, findingsOf, groups, place, restOf, type Typed, typedOf } from "../model/configForm.ts"
import { duration, moment, plural, value, words } from "../model/format.ts"
import { sourceOf } from "../model/pipeline.ts"
import { show } from "../store/toasts.ts"
import { Dialog } from "../ui/Dialog.tsx"
import { Findings, FindingText } from "../ui/Findings.tsx"
import { Card, Empty, Loading, PageTitle, Trouble } from "../ui/parts.tsx"
import { useLoaded, useSession } from "../ui/useLive.ts"

interface Change {
  readonly applied: boolean
  readonly diff: ReadonlyArray<Difference>
  readonly warnings: ReadonlyArray<string>
  readonly version: number
}

type Send = (options: {
  readonly dryRun: boolean
  readonly reason: string
  readonly version: number
}) => Promise<Reply<Change>>

const Diff = ({ diff }: { readonly diff: ReadonlyArray<Difference> }) =>
  diff.length === 0 ? (
    <p class="help">No number in force changes.</p>
  ) : (
    <div class="scroll" role="region" aria-label="Differences" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Now</th>
            <th scope="col">Then</th>
          </tr>
        </thead>
        <tbody>
          {diff.map(({ field, from, to }) => (
            <tr key={field}>
              <td>{words(field)}</td>
              <td class="diff-from wrap">{value(from)}</td>
              <td class="diff-to wrap">{value(to)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )

/** Asks what would differ, shows it, and does it. */
const ChangeDialog = ({
  onClose,
  onDone,
  send,
  title,
  version
}: {
  readonly title: string
  readonly send: Send
  readonly version: number
  readonly onClose: () => void
  readonly onDone: (version: number) => void
}) => {
  const [reason, setReason] = useState("")
  const [problem, setProblem] = useState<Problem | undefined>(undefined)
  const [isBusy, setBusy] = useState(false)
  const [trial, again] = useLoaded(() => send({ dryRun: true, reason: "", version }), [])

  const onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault()
    setBusy(true)
    const reply = await send({ dryRun: false, reason: reason.trim(), version })
    setBusy(false)
    if (!reply.ok) return setProblem(reply.problem)
    onClose()
    onDone(reply.body.version)
  }
  const isStale = problem?._tag === "Refused" && problem.status === 412
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="cards" onSubmit={(event) => void onSubmit(event)}>
        {trial._tag === "Loading" ? (
          <Loading what="what would differ" />
        ) : trial._tag === "Failed" ? (
          <Trouble text={trial.text} onRetry={again} />
        ) : (
          <>
            <Diff diff={trial.value.diff} />
            {trial.value.warnings.map((warning) => (
              <p key={warning} class="warn">
                Warning: {warning}
              </p>
            ))}
            <label class="field">
              <span class="field-label">Reason (optional)</span>
              <input
                name="reason"
                value={reason}
                maxLength={200}
                onInput={(event) => setReason(event.currentTarget.value)}
              />
            </label>
            <p class="help">It goes over version {version} of the configuration.</p>
          </>
        )}
        {problem === undefined ? null : (
          <Trouble
            text={isStale ? "The configuration changed meanwhile. Close this and look at it again." : sentence(problem)}
          />
        )}
        {problem === undefined || problem._tag !== "Refused" ? null : (
          <Findings findings={findingsOf(problem.context)} />
        )}
        <div class="actions">
          <span class="steps">Step 2 of 2</span>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={isBusy || isStale || trial._tag !== "Loaded"}>
            Apply
          </button>
        </div>
      </form>
    </Dialog>
  )
}

const shownChoice = (option: string): string => (option === "true" ? "on" : option === "false" ? "off" : option)

const FieldRow = ({
  field,
  findings,
  inForce,
  onInput,
  typed
}: {
  readonly field: Field
  readonly typed: string
  readonly inForce: string
  readonly findings: ReadonlyArray<Finding>
  readonly onInput: (text: string) => void
}) => {
  const { input, label, name } = field
  const isWrong = findings.some(({ severity }) => severity === "error")
  const range =
    input._tag === "Number"
      ? `${input.minimum} to ${input.maximum}${input.unit === "" ? "" : ` ${input.unit}`}`
      : `now ${shownChoice(inForce)}`
  const help = [field.help, range].filter((text) => text !== "").join(" · ")
  const common = {
    id: `field-${name}`,
    name,
    "aria-invalid": isWrong,
    "aria-describedby": `help-${name} findings-${name}`
  }
  return (
    <div class="form-row" data-field={name}>
      <div>
        <label class="field-label" for={common.id}>
          {label}
        </label>
        <div class="help" id={`help-${name}`}>
          {help}
        </div>
      </div>
      <span class="with-unit">
        {input._tag === "Number" ? (
          <>
            <input
              {...common}
              inputMode="decimal"
              autocomplete="off"
              value={typed}
              placeholder={inForce}
              onInput={(event) => onInput(event.currentTarget.value)}
            />
            {input.unit === "" ? null : (
              <span class="unit" aria-hidden="true">
                {input.unit}
              </span>
            )}
          </>
        ) : (
          <select {...common} value={typed} onChange={(event) => onInput(event.currentTarget.value)}>
            <option value="">unchanged</option>
            {input.options.map((option) => (
              <option key={option} value={option}>
                {shownChoice(option)}
              </option>
            ))}
          </select>
        )}
      </span>
      <div class="messages" id={`findings-${name}`} role="status">
        {findings.map((finding) => (
          <FindingText key={finding.code} finding={finding} />
        ))}
      </div>
    </div>
  )
}

type Checked =
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "Checking" }
  | { readonly _tag: "Checked"; readonly findings: ReadonlyArray<Finding>; readonly isValid: boolean }
  | { readonly _tag: "Failed"; readonly text: string }

/** The API lets a key validate once a second, and ten times at once. */
const typingMillis = 450

/** Validates what is typed, once nothing was typed for a moment. */
const useValidation = (configuration: object, isEmpty: boolean): Checked => {
  const { client } = useSession()
  const [checked, setChecked] = useState<Checked>({ _tag: "Unknown" })
  const json = JSON.stringify(configuration)
  useEffect(() => {
    if (isEmpty) return setChecked({ _tag: "Unknown" })
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout>
    const ask = async (): Promise<void> => {
      setChecked((before) => (before._tag === "Checked" ? before : { _tag: "Checking" }))
      const reply = await client.post("/config/validate", {
        body: { configuration: JSON.parse(json) as Record<string, string> },
        signal: controller.signal
      })
      if (controller.signal.aborted) return
      if (reply.ok) return setChecked({ _tag: "Checked", findings: reply.body.findings, isValid: reply.body.is_valid })
      setChecked({ _tag: "Failed", text: sentence(reply.problem) })
      const wait = reply.problem._tag === "Refused" ? reply.problem.retryAfterMillis : undefined
      if (wait !== undefined) timer = setTimeout(() => void ask(), wait)
    }
    timer = setTimeout(() => void ask(), typingMillis)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [json, isEmpty])
  return checked
}

const CustomForm = ({
  configuration,
  onChange
}: {
  readonly configuration: Configuration
  readonly onChange: (title: string, send: Send) => void
}) => {
  const { client } = useSession()
  const custom = configuration.custom_overrides as Readonly<Record<string, unknown>> | null
  const start = useMemo(() => typedOf(custom), [configuration.version])
  const rest = useMemo(() => restOf(custom), [configuration.version])
  const [typed, setTyped] = useState<Typed>(start)
  useEffect(() => setTyped(start), [start])
  const wanted = configOf(typed, rest)
  const isSame = JSON.stringify(configOf(start, rest)) === JSON.stringify(wanted)
  const isEmpty = Object.keys(wanted).length === 0
  const checked = useValidation(wanted, isEmpty || isSame)
  const findings = checked._tag === "Checked" ? checked.findings : []
  const placed = place(findings)
  const form = useRef<HTMLFormElement>(null)
  const inForce = (name: string): string =>
    value(configuration.effective.find(({ field }) => field === name)?.value ?? "")

  const onSubmit = (event: Event): void => {
    event.preventDefault()
    if (checked._tag === "Checked" && !checked.isValid) {
      // What is wrong takes the focus.
      form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
      return
    }
    onChange("Change the custom configuration?", ({ dryRun, reason, version }) =>
      client.post("/config/reload", {
        body: { custom_config: wanted, dry_run: dryRun, ...(reason === "" ? {} : { reason }) },
        version
      })
    )
  }

  return (
    <form ref={form} onSubmit={onSubmit} noValidate aria-label="Custom configuration">
      <div class="form-groups">
        {groups.map(({ fields, title }) => (
          <fieldset class="form-group" key={title}>
            <legend>{title}</legend>
            {fields.map((field) => (
              <FieldRow
                key={field.name}
                field={field}
                typed={typed[field.name] ?? ""}
                inForce={inForce(field.name)}
                findings={placed.byField.get(field.name) ?? []}
                onInput={(text) => setTyped({ ...typed, [field.name]: text })}
              />
            ))}
          </fieldset>
        ))}
      </div>
      {Object.keys(rest).length === 0 ? null : (
        <p class="help below">
          Kept as they are:{" "}
          {Object.entries(rest)
            .map(([name, each]) => `${words(name)} (${value(each)})`)
            .join(", ")}
          .
        </p>
      )}
      {placed.others.length === 0 ? null : <Findings findings={placed.others} />}
      <div class="actions">
        <button type="submit" class="button primary" disabled={isSame || isEmpty}>
          Show what would change
        </button>
        <button type="button" class="button" disabled={isSame} onClick={() => setTyped(start)}>
          Discard
        </button>
        <span class="help" role="status">
          {isSame
            ? "Nothing is changed. An empty field leaves the number as it is."
            : isEmpty
              ? "An empty form changes nothing: drop the changes of operators below."
              : checked._tag === "Checking"
                ? "Checking…"
                : checked._tag === "Failed"
                  ? checked.text
                  : checked._tag === "Checked"
                    ? checked.isValid
                      ? findings.length === 0
                        ? "It is valid."
                        : `It is valid, with ${plural(findings.length, "remark")}.`
                      : `It is not valid: ${plural(findings.filter(({ severity }) => severity === "error").length, "error")}.`
                    : ""}
        </span>
      </div>
    </form>
  )
}

const Presets = ({
  configuration,
  onChange
}: {
  readonly configuration: Configuration
  readonly onChange: (title: string, send: Send) => void
}) => {
  const { client } = useSession()
  const [presets, again] = useLoaded((signal) => client.get("/config/presets", { signal }), [])
  if (presets._tag === "Loading") return <Loading what="presets" />
  if (presets._tag === "Failed") return <Trouble text={presets.text} onRetry={again} />
  return (
    <ul class="presets">
      {presets.value.map((preset) => {
        const isCurrent = preset.name === configuration.preset_name
        return (
          <li key={preset.name} class={isCurrent ? "preset current" : "preset"}>
            <div class="preset-head">
              <span>{preset.display_name}</span>
              {isCurrent ? (
                <span class="tag">in force</span>
              ) : (
                <button
                  type="button"
                  class="button small"
                  aria-label={`Use the preset ${preset.display_name}`}
                  onClick={() =>
                    onChange(`Use the preset ${preset.display_name}?`, ({ dryRun, reason, version }) =>
                      client.post("/config/apply-preset", {
                        body: { preset: preset.name, dry_run: dryRun, ...(reason === "" ? {} : { reason }) },
                        version
                      })
                    )
                  }
                >
                  Use…
                </button>
              )}
            </div>
            <p class="help">{preset.description}</p>
            <p class="help">
              {preset.default_strategy} · {plural(preset.retry_attempts, "attempt")} · opens after{" "}
              {preset.circuit_breaker_threshold}, for {duration(preset.recovery_timeout * 1000)}
            </p>
            <p class="help">
              At worst {duration(preset.worst_case.latency_seconds * 1000)} and {preset.worst_case.amplification} × the
              load
            </p>
          </li>
        )
      })}
    </ul>
  )
}

const maxShown = 20

const History = ({
  changes,
  now,
  onChange
}: {
  readonly changes: ReadonlyArray<ConfigurationChange>
  readonly now: number
  readonly onChange: (title: string, send: Send) => void
}) => {
  const { client } = useSession()
  if (changes.length === 0)
    return <Empty title="Nothing was changed">Changes of operators and of the environment appear here.</Empty>
  return (
    <ol class="alerts">
      {changes.slice(0, maxShown).map((change) => (
        <li key={change.id} class="alert">
          <div class="alert-text">
            <p>
              <strong>Version {change.id}</strong> <span class="tag">{change.source}</span>
            </p>
            <p class="wrap">
              {change.diff.length === 0
                ? "No number in force changed."
                : change.diff.map(({ field, from, to }, index) => (
                    <span key={field}>
                      {index === 0 ? "" : ", "}
                      {words(field)} <span class="diff-from">{value(from)}</span>{" "}
                      <span class="diff-to">{value(to)}</span>
                    </span>
                  ))}
            </p>
            <p class="help wrap">
              {moment(Date.parse(change.at), now)} · by {change.actor}
              {change.reason === null ? "" : ` · ${change.reason}`}
            </p>
          </div>
          <button
            type="button"
            class="button small"
            aria-label={`Roll back to before version ${change.id}`}
            onClick={() =>
              onChange(`Go back to before version ${change.id}?`, ({ dryRun, reason, version }) =>
                client.post("/config/rollback", {
                  body: { version: change.id, dry_run: dryRun, ...(reason === "" ? {} : { reason }) },
                  version
                })
              )
            }
          >
            Roll back…
          </button>
        </li>
      ))}
    </ol>
  )
}

const Half = ({ children }: { readonly children: ComponentChildren }) => <div class="cards">{children}</div>

/** In the units of people. */
const shownNumber = (field: string, each: unknown): string => {
  const input = groups.flatMap(({ fields }) => fields).find(({ name }) => name === field)?.input
  return typeof each === "number" && input?._tag === "Number" && input.unit === "s"
    ? duration(each * 1000)
    : value(each)
}

const InForce = ({ configuration }: { readonly configuration: Configuration }) => (
  <Card title="In force" aside={<span>version {configuration.version}</span>}>
    <dl class="facts">
      <dt>Preset</dt>
      <dd>
        <strong>{configuration.preset_name}</strong> <span class="muted">({words(configuration.preset_source)})</span>
      </dd>
      <dt>Default strategy</dt>
      <dd>{configuration.configuration.strategy}</dd>
      <dt>Switched off</dt>
      <dd>
        {[
          configuration.toggles.enabled ? "" : "everything",
          configuration.toggles.circuit_breaker ? "" : "circuit breakers",
          configuration.toggles.retry ? "" : "retries"
        ]
          .filter((text) => text !== "")
          .join(", ") || "nothing"}
      </dd>
    </dl>
    {configuration.warnings.map((warning) => (
      <p key={warning} class="warn below">
        Warning: {warning}
      </p>
    ))}
    <div class="scroll below" role="region" aria-label="Numbers in force" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Number</th>
            <th scope="col">Value</th>
            <th scope="col">Source</th>
          </tr>
        </thead>
        <tbody>
          {configuration.effective.map(({ field, source, value: each }) => (
            <tr key={field}>
              <td>{words(field)}</td>
              <td class="wrap">{shownNumber(field, each)}</td>
              <td>
                <span class={`tag from-${sourceOf(source).kind}`}>{sourceOf(source).text}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </Card>
)

export const ConfigurationPage = () => {
  const { client, live } = useSession()
  const [configuration, again] = useLoaded((signal) => client.get("/config", { signal }), [], 10_000)
  const [changes, changesAgain] = useLoaded(
    (signal) => client.get("/config/changes", { query: { limit: 50 }, signal }),
    [],
    10_000
  )
  const [asked, setAsked] = useState<{ readonly title: string; readonly send: Send } | undefined>(undefined)
  const onChange = (title: string, send: Send): void => setAsked({ title, send })
  const title = <PageTitle lead="What the operations run with, and who changed it.">Configuration</PageTitle>
  if (configuration._tag !== "Loaded") {
    return (
      <>
        {title}
        {configuration._tag === "Loading" ? (
          <Loading what="the configuration" />
        ) : (
          <Trouble text={configuration.text} onRetry={again} />
        )}
      </>
    )
  }
  const refresh = (): void => {
    again()
    changesAgain()
    live.refresh()
  }
  const onDone = (version: number): void => {
    refresh()
    show({
      tone: "good",
      text: `The configuration is at version ${version}.`,
      undo: {
        label: "Undo",
        run: () =>
          void client.post("/config/rollback", { body: { version, reason: "Undo" }, version }).then((reply) => {
            refresh()
            show(
              reply.ok
                ? { tone: "good", text: `Undone, with version ${reply.body.version}.` }
                : { tone: "bad", text: `Not undone. ${sentence(reply.problem)}` }
            )
          })
      }
    })
  }
  const { value: current } = configuration
  const hasOverrides =
    current.custom_overrides !== null ||
    current.preset_source === "runtime" ||
    Object.values(current.operation_sources).includes("operator")
  return (
    <>
      {title}
      {configuration.text === undefined ? null : <Trouble text={`What you see may be old. ${configuration.text}`} />}
      <div class="cards">
        <Card title="Preset">
          <Presets configuration={current} onChange={onChange} />
        </Card>
        <div class="cards config-columns">
          <Half>
            <Card title="Custom configuration" aside={<span>over the preset, checked while you type</span>}>
              <CustomForm configuration={current} onChange={onChange} />
            </Card>
            <Card
              title="History"
              aside={
                <button
                  type="button"
                  class="button small"
                  disabled={!hasOverrides}
                  onClick={() =>
                    onChange("Drop what operators changed?", ({ dryRun, reason, version }) =>
                      client.post("/config/reset", {
                        body: { dry_run: dryRun, ...(reason === "" ? {} : { reason }) },
                        version
                      })
                    )
                  }
                >
                  Drop all changes…
                </button>
              }
            >
              {changes._tag === "Loading" ? (
                <Loading what="the history" />
              ) : changes._tag === "Failed" ? (
                <Trouble text={changes.text} onRetry={changesAgain} />
              ) : (
                <History changes={changes.value} now={live.now} onChange={onChange} />
              )}
            </Card>
          </Half>
          <InForce configuration={current} />
        </div>
      </div>
      {asked === undefined ? null : (
        <ChangeDialog {...asked} version={current.version} onClose={() => setAsked(undefined)} onDone={onDone} />
      )}
    </>
  )
}
