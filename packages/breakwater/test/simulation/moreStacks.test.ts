import { describe } from "@effect/vitest"
import { simulations } from "./Simulations.ts"
import { slotsSubject } from "./subjects/slots.ts"
import { stackSubject } from "./subjects/stack.ts"

describe("policies together:", () => {
  simulations(stackSubject, 500, 1)
  simulations(slotsSubject(), 500, 1)
})
