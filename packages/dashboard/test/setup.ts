/**
 * Builds the page if need be, and starts one browser for all tests.
 */
import type { TestProject } from "vitest/node"
import { serve } from "../scripts/browser.ts"
import { ensure } from "../scripts/build.ts"

declare module "vitest" {
  export interface ProvidedContext {
    readonly browser: string
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  await ensure()
  const browser = await serve()
  project.provide("browser", browser.wsEndpoint())
  return () => browser.close()
}
