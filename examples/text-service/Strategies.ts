/**
 * Strategies for half a minute of demonstration.
 *
 * The built-in presets keep a circuit open for 30 to 300 seconds, which is
 * right for a real provider and longer than the script of the model server.
 * These keep the characters of the built-in strategies, with seconds in place
 * of minutes.
 */
import { Duration } from "effect"
import { Strategy } from "breakwater"
import type { Operation } from "./TextService.ts"

/** A strategy for each operation. `speed` divides every duration. */
export const strategies = (speed = 1): { readonly [O in Operation]: Strategy.Strategy } => {
  const millis = (n: number) => Duration.millis(Math.max(n / speed, 1))
  const pauses = { base: millis(100), minDelay: millis(50), maxDelay: millis(1000), jitterMax: millis(100) }
  const timeout = { attempt: millis(1000), total: millis(4000) }

  const impatient = Strategy.make("impatient", {
    extends: "aggressive",
    retry: { ...pauses, maxAttempts: 2 },
    circuitBreaker: { failureThreshold: 3, openDuration: millis(2000) },
    timeout
  })
  const even = Strategy.make("even", {
    extends: "balanced",
    retry: { ...pauses, maxAttempts: 3 },
    circuitBreaker: { failureThreshold: 4, openDuration: millis(2500) },
    timeout
  })
  const patient = Strategy.make("patient", {
    extends: "conservative",
    retry: { ...pauses, maxAttempts: 4 },
    circuitBreaker: { failureThreshold: 5, openDuration: millis(3000) },
    timeout
  })
  return {
    summarize_text: even,
    analyze_sentiment: impatient,
    extract_key_points: even,
    generate_questions: even,
    answer_question: patient
  }
}
