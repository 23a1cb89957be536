import { mollitiaCircuit } from "../contestants/mollitia.ts"
import { answer } from "../contestants/work.ts"
import { around, busy, type Cases, each } from "./made.ts"

export const cases: Cases = {
  "idle operation": each(() => mollitiaCircuit.full(answer)),
  "busy operation": busy(around((action) => mollitiaCircuit.full(action))),
  "idle breaker": each(() => mollitiaCircuit.breaker(answer))
}
