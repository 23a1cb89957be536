/**
 * Where the process seems to run, and whether the preset fits.
 */
import { percent, words } from "../model/format.ts"
import { hrefOf } from "../model/routes.ts"
import { Card, Empty, Loading, PageTitle, Trouble } from "../ui/parts.tsx"
import { useLoaded, useSession } from "../ui/useLive.ts"

export const EnvironmentPage = () => {
  const { client } = useSession()
  const [report, again] = useLoaded((signal) => client.get("/config/environment", { signal }), [])
  const title = (
    <PageTitle lead="What the process sees of its surroundings, and which preset that speaks for.">
      Environment
    </PageTitle>
  )
  if (report._tag === "Loading") {
    return (
      <>
        {title}
        <Loading what="the environment" />
      </>
    )
  }
  if (report._tag === "Failed") {
    return (
      <>
        {title}
        <Trouble text={report.text} onRetry={again} />
      </>
    )
  }
  const { value } = report
  return (
    <>
      {title}
      <div class="cards two">
        <Card title="Recommendation">
          <dl class="facts">
            <dt>Environment</dt>
            <dd>
              <strong>{value.environment}</strong>
            </dd>
            <dt>Confidence</dt>
            <dd>
              <span class="signal-bar meter" aria-hidden="true">
                <span style={{ width: `${value.confidence * 100}%` }} />
              </span>{" "}
              {percent(value.confidence)}
            </dd>
            <dt>Recommended preset</dt>
            <dd>
              <strong>{value.recommended_preset}</strong>
            </dd>
            <dt>Preset in force</dt>
            <dd>
              {value.current_preset}{" "}
              {value.matches_current ? (
                <span class="tone-good">it fits</span>
              ) : (
                <>
                  <span class="tone-trying">it does not fit</span>{" "}
                  <a class="button small" href={hrefOf({ page: "configuration" })}>
                    Change
                  </a>
                </>
              )}
            </dd>
            <dt>Why</dt>
            <dd>{value.reasoning}</dd>
          </dl>
        </Card>
        <Card title="How it was found">
          <ol class="findings numbered">
            {value.explanation.map((line) => (
              <li key={line} class="wrap">
                {line}
              </li>
            ))}
          </ol>
        </Card>
      </div>
      <div class="cards below">
        <Card title="Signals" aside={<span>in the order in which they are looked for</span>}>
          {value.signals.length === 0 ? (
            <Empty title="No signal was found">
              Variables such as NODE_ENV or ENVIRONMENT tell where a process runs. Without one, the preset simple is
              recommended.
            </Empty>
          ) : (
            <div class="scroll" role="region" aria-label="Signals" tabIndex={0}>
              <table>
                <thead>
                  <tr>
                    <th scope="col">Source</th>
                    <th scope="col">Value</th>
                    <th scope="col">Speaks for</th>
                    <th scope="col">Confidence</th>
                    <th scope="col">Part</th>
                  </tr>
                </thead>
                <tbody>
                  {value.signals.map((signal) => (
                    <tr key={`${signal.source} ${signal.value}`}>
                      <td class="mono wrap">{signal.source}</td>
                      <td class="mono wrap">{signal.value}</td>
                      <td>{signal.environment}</td>
                      <td class="nowrap">
                        <span class="signal-bar meter" aria-hidden="true">
                          <span style={{ width: `${signal.confidence * 100}%` }} />
                        </span>{" "}
                        {percent(signal.confidence)}
                      </td>
                      <td>
                        {value.winner?.source === signal.source
                          ? "decides"
                          : value.conflicting.some(({ source }) => source === signal.source)
                            ? "contradicts"
                            : "agrees"}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </Card>
        {Object.keys(value.metadata).length === 0 ? null : (
          <Card title="Also known">
            <dl class="facts">
              {Object.entries(value.metadata).map(([name, text]) => (
                <>
                  <dt>{words(name)}</dt>
                  <dd>{text}</dd>
                </>
              ))}
            </dl>
          </Card>
        )}
      </div>
    </>
  )
}
