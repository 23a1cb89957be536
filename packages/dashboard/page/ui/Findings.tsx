/**
 * What is wrong with a configuration, or might be.
 */
import type { Finding } from "../api/types.ts"

const labels = { error: "Error", warning: "Warning", info: "Note" } as const

export const FindingText = ({ finding }: { readonly finding: Finding }) => (
  <span class={finding.severity === "error" ? "fault" : finding.severity === "warning" ? "warn" : "help"}>
    {labels[finding.severity]}: {finding.message}
    {finding.suggestion === undefined ? "" : `. ${finding.suggestion}`}
  </span>
)

export const Findings = ({ findings }: { readonly findings: ReadonlyArray<Finding> }) => (
  <ul class="findings">
    {findings.map((finding) => (
      <li key={`${finding.code} ${finding.path}`}>
        <FindingText finding={finding} />
      </li>
    ))}
  </ul>
)
