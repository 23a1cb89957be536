import { describe } from "@effect/vitest"
import { simulations } from "./Simulations.ts"
import { stackSubject } from "./subjects/stack.ts"

describe("policies together:", () => {
  simulations(stackSubject, 1_400, 1)
})
