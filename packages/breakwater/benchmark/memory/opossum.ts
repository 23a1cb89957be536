import { opossumBreaker, opossumFull } from "../contestants/opossum.ts"
import { answer } from "../contestants/work.ts"
import { around, busy, type Cases, each } from "./made.ts"

export const cases: Cases = {
  "idle operation": each(() => opossumFull(answer)),
  "busy operation": busy(
    around((action) => {
      const opossum = opossumFull(action)
      return () => opossum.fire()
    })
  ),
  "idle breaker": each(() => opossumBreaker(answer))
}
