import { cockatielBreaker, cockatielFull } from "../contestants/cockatiel.ts"
import { busy, type Cases, each } from "./made.ts"

export const cases: Cases = {
  "idle operation": each(cockatielFull),
  "busy operation": busy(() => {
    const policy = cockatielFull()
    return (action) => policy.execute(action)
  }),
  "idle breaker": each(cockatielBreaker)
}
