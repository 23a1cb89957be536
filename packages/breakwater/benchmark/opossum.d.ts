/** The part of opossum that the benchmark uses. The package has no types. */
declare module "opossum" {
  interface Options {
    readonly timeout?: number | false
    readonly resetTimeout?: number
    readonly errorThresholdPercentage?: number
    readonly volumeThreshold?: number
    readonly rollingPercentilesEnabled?: boolean
    readonly enableSnapshots?: boolean
  }
  export default class CircuitBreaker {
    constructor(action: () => unknown, options?: Options)
    fire(): Promise<unknown>
    open(): void
    shutdown(): void
    readonly stats: object
  }
}
