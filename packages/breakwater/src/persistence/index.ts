/**
 * @since 0.1.0
 */
export * as CircuitStates from "./CircuitStates.ts"
