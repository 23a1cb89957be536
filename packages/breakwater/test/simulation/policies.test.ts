import { circuitSubject } from "./subjects/circuit.ts"
import { report, simulate } from "./Simulation.ts"
import { it, assert } from "@effect/vitest"
it("x", () => {
  const t = performance.now()
  let calls = 0
  const n = 500
  for (let i = 0; i < n; i++) {
    const o = simulate(circuitSubject(), i)
    calls += o.calls
    if (o.violation) { console.log(report(circuitSubject(), i)); assert.fail("x") }
  }
  console.log(n / (performance.now() - t) * 1000, "per s", calls)
})
