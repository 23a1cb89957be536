/**
 * What needs a look.
 */
import { signal } from "@preact/signals"
import { sentence } from "../api/client.ts"
import type { Alert } from "../api/types.ts"
import { ago, words } from "../model/format.ts"
import { now } from "../store/clock.ts"
import { hrefOf } from "../model/routes.ts"
import { show } from "../store/toasts.ts"
import { Empty, Loading, PageTitle } from "../ui/parts.tsx"
import { useSession } from "../ui/useLive.ts"

const levels = ["critical", "error", "warning", "info"] as const
const tones = { critical: "bad", error: "bad", warning: "trying", info: "quiet" } as const
const level = signal<Alert["level"] | "all">("all")

/** A shape for each level, as for the states. */
const LevelIcon = ({ level }: { readonly level: Alert["level"] }) => (
  <svg
    class={`state-icon tone-${tones[level]}`}
    width="18"
    height="18"
    viewBox="0 0 16 16"
    aria-hidden="true"
    focusable="false"
  >
    {level === "critical" ? (
      <path d="M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2z" fill="currentColor" />
    ) : level === "error" ? (
      <path d="M8 1l7 7-7 7-7-7z" fill="currentColor" />
    ) : level === "warning" ? (
      <path d="M8 1.5l7 13H1z" fill="currentColor" />
    ) : (
      <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="1.6" />
    )}
    <path
      d={level === "warning" ? "M8 6v4M8 12.2v.3" : "M8 4.5v4M8 11.2v.3"}
      stroke={level === "info" ? "currentColor" : "var(--surface)"}
      stroke-width="1.7"
      stroke-linecap="round"
    />
  </svg>
)

const AlertRow = ({ alert, at }: { readonly alert: Alert; readonly at: number }) => {
  const { client, live } = useSession()
  const acknowledge = async (): Promise<void> => {
    const reply = await client.post("/monitoring/alerts/:alert_id/acknowledge", {
      params: { alert_id: alert.id },
      body: {}
    })
    live.refreshAlerts()
    show(
      reply.ok
        ? { tone: "good", text: `You look after: ${alert.title}` }
        : { tone: "bad", text: sentence(reply.problem) }
    )
  }
  const isKnown = live.operations.has(alert.operation)
  return (
    <li class="alert">
      <LevelIcon level={alert.level} />
      <div class="alert-text">
        <p>
          <strong class="wrap">{alert.title}</strong>{" "}
          <span class={`alert-level tone-${tones[alert.level]}`}>{alert.level}</span>
        </p>
        <p class="muted wrap">{alert.description}</p>
        <p class="help row">
          <span>{ago(Date.parse(alert.timestamp), at)}</span>
          {typeof alert.metadata["rule"] === "string" ? <span class="tag">{words(alert.metadata["rule"])}</span> : null}
          {isKnown ? <a href={hrefOf({ page: "operation", name: alert.operation })}>{alert.operation}</a> : null}
        </p>
      </div>
      {alert.status === "acknowledged" ? (
        <span class="muted nowrap">Looked after by {alert.acknowledged_by ?? "somebody"}</span>
      ) : (
        <button
          type="button"
          class="button small"
          aria-label={`Acknowledge: ${alert.title}`}
          onClick={() => void acknowledge()}
        >
          Acknowledge
        </button>
      )}
    </li>
  )
}

export const Alerts = () => {
  const { live } = useSession()
  const alerts = live.alerts.value
  const at = now.value + (live.now - Date.now())
  const weight = (alert: Alert): number => (alert.status === "acknowledged" ? 10 : 0) + levels.indexOf(alert.level)
  const shown = (alerts ?? [])
    .filter((alert) => level.value === "all" || alert.level === level.value)
    .toSorted((a, b) => weight(a) - weight(b) || Date.parse(b.timestamp) - Date.parse(a.timestamp))
  return (
    <>
      <PageTitle lead="Open alerts, the worst first. Each ends by itself when its condition does.">Alerts</PageTitle>
      {alerts === undefined ? (
        <Loading what="alerts" />
      ) : (
        <>
          <div class="toolbar">
            <div class="chips" role="group" aria-label="Level">
              {(["all", ...levels] as const).map((each) => (
                <button
                  type="button"
                  key={each}
                  class="chip"
                  aria-pressed={level.value === each}
                  onClick={() => (level.value = each)}
                >
                  {each === "all" ? "All" : `${each[0]!.toUpperCase()}${each.slice(1)}`}
                  <span class="chip-count">
                    {alerts.filter((alert) => each === "all" || alert.level === each).length}
                  </span>
                </button>
              ))}
            </div>
          </div>
          <section class="card" aria-label="Open alerts">
            {shown.length === 0 ? (
              <Empty title={alerts.length === 0 ? "No alert is open" : "No alert of this level"}>
                {alerts.length === 0 ? "Rules look at every operation every few seconds." : undefined}
              </Empty>
            ) : (
              <ul class="alerts in-columns">
                {shown.map((alert) => (
                  <AlertRow key={alert.id} alert={alert} at={at} />
                ))}
              </ul>
            )}
          </section>
        </>
      )}
    </>
  )
}
