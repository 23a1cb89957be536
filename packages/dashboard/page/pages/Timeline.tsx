/**
 * Everything that happened, newest first, and the state around each of it.
 */
import { signal } from "@preact/signals"
import { useEffect, useRef, useState } from "preact/hooks"
import { clock, count, duration, millis, moment, percent } from "../model/format.ts"
import { factsOf } from "../model/states.ts"
import { type Entry, type Kind, merge, ofAudit, ofChange } from "../model/timeline.ts"
import type { Live } from "../store/live.ts"
import { hrefOf } from "../model/routes.ts"
import { Icon, type IconName, StateBadge, StateIcon } from "../ui/icons.tsx"
import { Card, Empty, Loading, Metric, PageTitle, Trouble } from "../ui/parts.tsx"
import { useLoaded, useSession } from "../ui/useLive.ts"

const kinds: Readonly<Record<Kind, { readonly label: string; readonly icon: IconName }>> = {
  transition: { label: "Transitions", icon: "overview" },
  override: { label: "Overrides", icon: "configuration" },
  configuration: { label: "Configuration", icon: "configuration" },
  alert: { label: "Alerts", icon: "alerts" }
}

const hiddenKinds = signal<ReadonlySet<Kind>>(new Set())
const chosen = signal<Entry | undefined>(undefined)
const pageSize = 150
const decisionsWithinMillis = 5_000

export const Mark = ({ entry }: { readonly entry: Entry }) =>
  entry.to === undefined ? (
    <span class={`tone-${entry.tone}`}>
      <Icon name={kinds[entry.kind].icon} size={15} />
    </span>
  ) : (
    <StateIcon state={entry.to} size={15} />
  )

/** What the page knew then, and what else happened close to it. */
const Around = ({
  entries,
  entry,
  live
}: {
  readonly entry: Entry
  readonly entries: ReadonlyArray<Entry>
  readonly live: Live
}) => {
  const { client } = useSession()
  const panel = useRef<HTMLDivElement>(null)
  // On a narrow screen it stands above the list.
  useEffect(() => panel.current?.scrollIntoView({ block: "nearest" }), [])
  const known = entry.operation === undefined ? undefined : live.operations.get(entry.operation)
  const point = known?.series.before(entry.at)
  const near = entries.filter(({ at, id }) => id !== entry.id && Math.abs(at - entry.at) <= 10_000).slice(0, 8)
  const [decisions] = useLoaded(
    (signal) =>
      client.get("/decisions", {
        query: {
          operation: known === undefined ? undefined : entry.operation,
          since: new Date(entry.at - decisionsWithinMillis).toISOString(),
          until: new Date(entry.at + decisionsWithinMillis).toISOString(),
          limit: 5
        },
        signal
      }),
    [entry.id],
    // Some may be yet to come. When none can, it is asked for a last time.
    live.now < entry.at + decisionsWithinMillis ? 1_000 : undefined
  )
  const others = Array.from(live.operations.values(), ({ tile }) => tile).filter(({ trouble }) => trouble >= 240)
  return (
    <Card
      title="Around it"
      class="aside-card"
      aside={
        <button type="button" class="icon-button" aria-label="Close" onClick={() => (chosen.value = undefined)}>
          <Icon name="close" size={16} />
        </button>
      }
    >
      <div class="cards" aria-live="polite" ref={panel}>
        <div>
          <p class="entry-title">{entry.title}</p>
          <p class="help">{entry.detail}</p>
        </div>
        {entry.from === undefined || entry.to === undefined ? null : (
          <p class="row">
            <StateBadge state={entry.from} />
            <Icon name="arrow" size={15} />
            <StateBadge state={entry.to} />
          </p>
        )}
        {point === undefined ? (
          entry.operation === undefined || known === undefined ? null : (
            <p class="help">It was before this page was opened: no numbers were seen.</p>
          )
        ) : (
          <div>
            <h3>Numbers at {clock(point.at)}</h3>
            <dl class="row numbers">
              <Metric label="calls/s" value={count(point.calls)} />
              <Metric label="failed/s" value={count(point.failed)} />
              <Metric label="rejected/s" value={count(point.rejected)} />
              <Metric label="p95" value={millis(point.p95)} />
              <Metric label="in flight" value={count(point.inFlight)} />
            </dl>
          </div>
        )}
        <div>
          <h3>Decisions within {duration(decisionsWithinMillis)}</h3>
          {decisions._tag === "Loading" ? (
            <Loading what="decisions" />
          ) : decisions._tag === "Failed" ? (
            <Trouble text={decisions.text} />
          ) : decisions.value.decisions.length === 0 ? (
            <p class="help">None is remembered.</p>
          ) : (
            <ul class="findings">
              {decisions.value.decisions.map((decision) => (
                <li key={decision.id} class="sentence help">
                  {clock(Date.parse(decision.timestamp))} {decision.verdict}: {decision.explanation}
                </li>
              ))}
            </ul>
          )}
        </div>
        <div>
          <h3>Also within 10 s</h3>
          {near.length === 0 ? (
            <p class="help">Nothing else.</p>
          ) : (
            <ul class="findings">
              {near.map((other) => (
                <li key={other.id} class="row nearby">
                  <Mark entry={other} />
                  <span class="wrap">{other.title}</span>
                </li>
              ))}
            </ul>
          )}
        </div>
        {known === undefined ? null : (
          <p class="row">
            <span class="muted">Now</span>
            <StateBadge state={known.tile.state} />
            <span class="muted">{percent(known.tile.successRate)} success</span>
            <a class="button small" href={hrefOf({ page: "operation", name: known.tile.name })}>
              Open
            </a>
          </p>
        )}
        <p class="help">
          {others.length === 0
            ? "No circuit is in trouble now."
            : `In trouble now: ${others
                .slice(0, 5)
                .map(({ name, state }) => `${name} (${factsOf(state).label.toLowerCase()})`)
                .join(", ")}${others.length > 5 ? ` and ${others.length - 5} more` : ""}.`}
        </p>
      </div>
    </Card>
  )
}

export const Timeline = () => {
  const { client, live } = useSession()
  const [howMany, setHowMany] = useState(pageSize)
  const [audit] = useLoaded((signal) => client.get("/audit", { query: { limit: 200 }, signal }), [], 5_000)
  const [changes] = useLoaded((signal) => client.get("/config/changes", { query: { limit: 100 }, signal }), [], 5_000)
  const added = [
    ...(audit._tag === "Loaded" ? audit.value.flatMap((entry) => ofAudit(entry) ?? []) : []),
    ...(changes._tag === "Loaded" ? changes.value.map(ofChange) : [])
  ]
  const all = merge(added, live.entries.value, 5_000)
  const shown = all.filter(({ kind }) => !hiddenKinds.value.has(kind))
  const failed = [audit, changes].flatMap((each) => (each._tag === "Failed" ? [each.text] : []))[0]
  const now = live.now
  const toggle = (kind: Kind): void => {
    const next = new Set(hiddenKinds.value)
    if (!next.delete(kind)) next.add(kind)
    hiddenKinds.value = next
  }
  const entry = chosen.value
  return (
    <>
      <PageTitle lead="Transitions, overrides, changes of the configuration, and alerts. Choose one to see what was around it.">
        Timeline
      </PageTitle>
      <div class="toolbar">
        <div class="chips" role="group" aria-label="Shown">
          {(Object.keys(kinds) as Array<Kind>).map((kind) => (
            <button
              type="button"
              key={kind}
              class="chip"
              aria-pressed={!hiddenKinds.value.has(kind)}
              onClick={() => toggle(kind)}
            >
              {kinds[kind].label}
              <span class="chip-count">{all.filter((each) => each.kind === kind).length}</span>
            </button>
          ))}
        </div>
      </div>
      {failed === undefined ? null : <Trouble text={`Audit log and history are missing here: ${failed}`} />}
      <div class={entry === undefined ? "timeline is-unasked" : "timeline"}>
        <section class="card events" aria-label="Events">
          {shown.length === 0 ? (
            live.isLoaded.value ? (
              <Empty title="Nothing has happened">Transitions appear as they happen.</Empty>
            ) : (
              <Loading what="events" />
            )
          ) : (
            <ol>
              {shown.slice(0, howMany).map((each) => (
                <li key={each.id}>
                  <button
                    type="button"
                    class="entry"
                    aria-pressed={entry?.id === each.id}
                    onClick={() => (chosen.value = entry?.id === each.id ? undefined : each)}
                  >
                    <span class="entry-time">{moment(each.at, now)}</span>
                    <span class="entry-mark">
                      <Mark entry={each} />
                    </span>
                    <span class="entry-text">
                      <span class="entry-title">
                        {each.title}
                        {each.wasMissed === true ? <span class="tag from-override">missed</span> : null}
                      </span>
                      <span class="entry-detail">{each.detail}</span>
                    </span>
                  </button>
                </li>
              ))}
            </ol>
          )}
          {shown.length > howMany ? (
            <p class="actions">
              <button type="button" class="button" onClick={() => setHowMany(howMany + pageSize)}>
                Show older
              </button>
            </p>
          ) : null}
        </section>
        {entry === undefined ? (
          <section class="card aside-card unasked">
            <Empty title="Nothing is chosen">
              Choose an entry: numbers, decisions and other events around it appear here.
            </Empty>
          </section>
        ) : (
          <Around key={entry.id} entry={entry} entries={all} live={live} />
        )}
      </div>
    </>
  )
}
