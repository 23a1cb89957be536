import { circuitSubject } from "./subjects/circuit.ts"
import { retrySubject } from "./subjects/retry.ts"
import { timeoutSubject } from "./subjects/timeout.ts"
import { stackSubject } from "./subjects/stack.ts"
import { report, simulate } from "./Simulation.ts"
import { it, assert } from "@effect/vitest"
for (const subject of [circuitSubject(), retrySubject(), timeoutSubject, stackSubject])
it(subject.name, () => {
  const t = performance.now()
  let calls = 0
  const n = Number(process.env.N ?? 500)
  for (let i = 0; i < n; i++) {
    const o = simulate(subject, i)
    calls += o.calls
    if (o.violation) { console.log(report(subject, i)); assert.fail("x") }
  }
  console.log(n / (performance.now() - t) * 1000, "per s", calls)
}, 120000)
