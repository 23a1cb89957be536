/**
 * What the runtime tells about itself, in Node and elsewhere. Nothing of the
 * environment's variables.
 */

interface Host {
  readonly process?: {
    readonly version?: string
    readonly platform?: string
    readonly arch?: string
    readonly memoryUsage?: () => { readonly heapUsed: number }
    readonly constrainedMemory?: () => number
  }
  readonly navigator?: { readonly hardwareConcurrency?: number; readonly userAgent?: string }
}

const host = globalThis as Host

const bytesPerMb = 1024 * 1024

/** The heap in use in MB; `undefined` where it cannot be read. @internal */
export const heapMb = (): number | undefined => {
  const used = host.process?.memoryUsage?.().heapUsed
  return used === undefined ? undefined : used / bytesPerMb
}

/** @internal */
export const describe = () => {
  const { navigator, process } = host
  const memory = process?.constrainedMemory?.()
  return {
    runtimeVersion: process?.version ?? navigator?.userAgent ?? "unknown",
    platform: process?.platform ?? "unknown",
    processor: process?.arch ?? "unknown",
    // Without a limit the system states one that no machine has.
    memoryGb:
      memory === undefined || memory <= 0 || memory > 2 ** 50 ? null : Math.round((memory / 2 ** 30) * 100) / 100,
    cpuCount: navigator?.hardwareConcurrency ?? null
  }
}
