/**
 * Looks for a difference in time between wrong API keys that are nearly right and those that are not: Welch's t-test
 * over 40,000 samples of 20 keys, and |t| < 4.5. It is not part of `pnpm test`, because machines are noisy.
 *
 * - The same test of `===` has to find its difference: else it could not find ours.
 * - A sample compares keys of one kind. The kinds take turns in random order, and every key is another one and a new
 *   string, as it is when it comes from a header: what one digest costs more than another says nothing of the key.
 * - The slowest 5 % are left out: they tell of the machine.
 */
import { Effect, Redacted } from "effect"
import { AdminKeys } from "breakwater/http-api"
import { randomBytes, randomInt } from "node:crypto"

const samples = 40_000
const perSample = 20
const warmUp = 2_000
const kept = 0.95
const limit = 4.5

type Kind = "near" | "far"

interface Moments {
  readonly mean: number
  /** Of the mean. */
  readonly variance: number
}

const momentsOf = (values: ReadonlyArray<number>): Moments => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, variance: squares / (values.length - 1) / values.length }
}

const welch = (a: Moments, b: Moments): number => (a.mean - b.mean) / Math.sqrt(a.variance + b.variance)

const secret = randomBytes(24).toString("base64url")

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
const edge = 4

/** Differs from the key in one of its last characters, or of its first ones. */
const wrong = (kind: Kind): string => {
  const bytes = Buffer.from(secret, "latin1")
  const index = kind === "far" ? randomInt(edge) : bytes.length - 1 - randomInt(edge)
  const others = alphabet.replace(secret[index] ?? "", "")
  bytes.write(others[randomInt(others.length)] ?? "", index, "latin1")
  return bytes.toString("latin1")
}

const measure = (isKnown: (key: string) => boolean): { readonly t: number; readonly means: Record<Kind, number> } => {
  const times: Record<Kind, Array<number>> = { near: [], far: [] }
  let known = 0
  for (let sample = -warmUp; sample < samples; sample++) {
    const kind: Kind = randomInt(2) === 0 ? "near" : "far"
    const presented = Array.from({ length: perSample }, () => wrong(kind))
    const start = process.hrtime.bigint()
    for (const key of presented) if (isKnown(key)) known++
    const took = Number(process.hrtime.bigint() - start) / perSample
    if (sample >= 0) times[kind].push(took)
  }
  if (known > 0) throw new Error("A wrong key was taken for a right one")
  const bound = [...times.near, ...times.far].toSorted((a, b) => a - b)[Math.floor(samples * kept)] ?? Infinity
  const near = momentsOf(times.near.filter((took) => took < bound))
  const far = momentsOf(times.far.filter((took) => took < bound))
  return { t: welch(near, far), means: { near: near.mean, far: far.mean } }
}

const service = await Effect.runPromise(
  Effect.provide(
    AdminKeys.AdminKeys,
    AdminKeys.AdminKeys.layer([
      ...Array.from({ length: 9 }, () => ({ key: Redacted.make(randomBytes(24).toString("base64url")) })),
      { key: Redacted.make(secret) }
    ])
  )
)
const identify = AdminKeys.identifyUnsafe(service)
if (identify === undefined) throw new Error("This runtime can not digest at once")

const report = (name: string, { means, t }: ReturnType<typeof measure>): number => {
  const ns = (value: number) => `${value.toFixed(1).padStart(7)} ns`
  console.log(`  ${name.padEnd(12)} near ${ns(means.near)}   far ${ns(means.far)}   |t| ${Math.abs(t).toFixed(2)}`)
  return Math.abs(t)
}

console.log(`${samples.toLocaleString("en")} samples of ${perSample} wrong keys`)
const ours = report(
  "AdminKeys",
  measure((key) => identify(key).scope._tag === "Some")
)
const naive = report(
  "===",
  measure((key) => key === secret)
)
const verdicts = [
  [ours < limit, `${ours.toFixed(2).padStart(7)} <  ${limit} AdminKeys: |t|`],
  [naive >= limit, `${naive.toFixed(2).padStart(7)} >= ${limit} ===: |t|, or the test sees nothing`]
] as const
for (const [holds, text] of verdicts) console.log(`${holds ? "ok  " : "FAIL"} ${text}`)
process.exitCode = verdicts.every(([holds]) => holds) ? 0 : 1
