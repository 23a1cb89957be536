/** Reads the text format of Prometheus the way `promtool check metrics` does, and throws at what it finds wrong. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: ReadonlyArray<Sample>
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*$/
const suffixes: Readonly<Record<string, ReadonlyArray<string>>> = {
  counter: [""],
  gauge: [""],
  summary: ["", "_sum", "_count"],
  histogram: ["_bucket", "_sum", "_count"]
}

const unless = (holds: boolean, line: string, what: string): void => {
  if (!holds) throw new Error(`${what}: ${line}`)
}

const numberOf = (text: string, line: string): number => {
  if (/^[+-]?Inf$/.test(text)) return text.startsWith("-") ? -Infinity : Infinity
  unless(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text), line, "not a value")
  return Number(text)
}

const labelsOf = (text: string, line: string): Record<string, string> => {
  const labels: Record<string, string> = {}
  const one = /^([^=,{}"]+)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/
  let left = text
  while (left !== "") {
    const found = one.exec(left)
    if (found === null) throw new Error(`not a label: ${line}`)
    const [all, name, value] = found as unknown as [string, string, string]
    unless(labelName.test(name) && !name.startsWith("__"), line, "not the name of a label")
    unless(/^[a-z][a-z0-9_]*$/.test(name), line, "a label that is not in snake case")
    unless(!(name in labels), line, "a label that is there twice")
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped))
    left = left.slice(all.length)
  }
  return labels
}

const sampleOf = (line: string): Sample => {
  const found = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/.exec(line)
  if (found === null) throw new Error(`not a sample: ${line}`)
  const [, name, labels = "", value] = found as unknown as [string, string, string | undefined, string]
  unless(metricName.test(name), line, "not the name of a metric")
  return { name, labels: labelsOf(labels, line), value: numberOf(value, line) }
}

export const identity = ({ labels, name }: Sample, without?: string): string =>
  `${name}{${Object.entries(labels)
    .filter(([label]) => label !== without)
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
    .toSorted()
    .join(",")}}`

const checkHistogram = ({ name, samples }: Family): void => {
  const groups = Map.groupBy(
    samples.filter((sample) => sample.name === `${name}_bucket`),
    (sample) => identity(sample, "le")
  )
  for (const [group, buckets] of groups) {
    let before = { le: -Infinity, value: 0 }
    for (const bucket of buckets) {
      const le = numberOf(bucket.labels["le"] ?? "", group)
      unless(le > before.le && bucket.value >= before.value, group, "buckets that do not rise")
      before = { le, value: bucket.value }
    }
    const count = samples.find((sample) => identity(sample) === group.replace("_bucket{", "_count{"))
    unless(before.le === Infinity && before.value === count?.value, group, "a last bucket that is not the count")
  }
}

const checkSummary = ({ name, samples }: Family): void => {
  for (const [group, ofGroup] of Map.groupBy(samples, (sample) => identity(sample, "quantile").replace(/^[^{]+/, ""))) {
    const quantiles = ofGroup.filter((sample) => sample.name === name)
    let before = -Infinity
    for (const { labels, value } of quantiles.toSorted((a, b) => +a.labels["quantile"]! - +b.labels["quantile"]!)) {
      const quantile = numberOf(labels["quantile"] ?? "", group)
      unless(quantile >= 0 && quantile <= 1 && value >= before, group, "quantiles that do not rise")
      before = value
    }
    unless(ofGroup.length === quantiles.length + 2, group, "a summary without sum or count")
  }
}

const checkFamily = (family: Family): void => {
  const { help, name, samples, type } = family
  unless(help !== "", name, "no help")
  unless(samples.length > 0, name, "no samples")
  unless(name.endsWith("_total") === (type === "counter"), name, "_total belongs to counters")
  unless(!/_(milli|micro|nano)?(ms|millis|minutes|hours)(_|$)/.test(name), name, "not a base unit")
  unless(!/_(counter|gauge|histogram|summary)(_|$)/.test(name), name, "the type is in the name")
  for (const sample of samples) {
    const isCount = type === "counter" || /_(count|bucket)$/.test(sample.name)
    unless(!isCount || sample.value >= 0, identity(sample), "a count below 0")
    unless(suffixes[type]!.includes(sample.name.slice(name.length)), identity(sample), "not a sample of its type")
    unless(!("le" in sample.labels) || type === "histogram", identity(sample), "a bucket without a histogram")
    unless(!("quantile" in sample.labels) || type === "summary", identity(sample), "a quantile without a summary")
  }
  if (type === "histogram") checkHistogram(family)
  if (type === "summary") checkSummary(family)
}

export const check = (text: string): ReadonlyMap<string, Family> => {
  unless(text.endsWith("\n"), text.slice(-80), "no line feed at the end")
  const families = new Map<string, Family & { samples: Array<Sample> }>()
  const seen = new Set<string>()
  let help: readonly [name: string, text: string] | undefined
  let family: (Family & { samples: Array<Sample> }) | undefined
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line)
    if (comment === null) {
      unless(!line.startsWith("#"), line, "neither help nor type")
      const sample = sampleOf(line)
      unless(family !== undefined && sample.name.startsWith(family.name), line, "a sample outside of its family")
      unless(!seen.has(identity(sample)), line, "a sample that is there twice")
      seen.add(identity(sample))
      family!.samples.push(sample)
      continue
    }
    const [, what, name, rest] = comment as unknown as [string, "HELP" | "TYPE", string, string]
    if (what === "HELP") {
      unless(!/[^\\](\\\\)*\\[^\\n]/.test(rest), line, "a wrong escape")
      help = [name, rest]
      continue
    }
    unless(rest in suffixes, line, "not a type")
    unless(metricName.test(name) && !families.has(name), line, "a family that is there twice")
    family = { name, type: rest, help: help?.[0] === name ? help[1] : "", samples: [] }
    families.set(name, family)
  }
  for (const each of families.values()) checkFamily(each)
  return families
}

/** Every sample by name and labels, sorted by label. */
export const samples = (text: string): ReadonlyMap<string, number> =>
  new Map(
    Array.from(check(text).values()).flatMap((family) =>
      family.samples.map((sample) => [identity(sample), sample.value] as const)
    )
  )

/** The series that never fall. */
export const counts = (text: string): ReadonlyMap<string, number> =>
  new Map(
    Array.from(check(text).values()).flatMap(({ samples, type }) =>
      samples
        .filter(({ name }) => type === "counter" || (type !== "gauge" && /_(sum|count|bucket)$/.test(name)))
        .map((sample) => [identity(sample), sample.value] as const)
    )
  )
