import { join } from "node:path"
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config"

const project = (
  name: string,
  root: string,
  test: TestProjectInlineConfiguration["test"] = {}
): TestProjectInlineConfiguration => ({
  extends: true,
  root,
  test: { name, include: ["test/**/*.test.ts"], ...test }
})

/** One project for each package. `vitest.config.ts` re-exports this file, because Vitest looks for that name. */
export default defineConfig({
  test: {
    // For what hangs. On a busy machine the slowest tests take many times as long.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      project("breakwater", "packages/breakwater"),
      // In a group of its own, beside no other, for it watches how smoothly a browser runs.
      project("dashboard", "packages/dashboard", {
        globalSetup: join(import.meta.dirname, "packages/dashboard/test/setup.ts"),
        fileParallelism: false,
        sequence: { groupOrder: 1 }
      }),
      project("scripts", "scripts"),
      project("examples", "examples", {
        include: ["**/*.test.ts"],
        exclude: [".docs/**", "**/node_modules/**"],
        globalSetup: join(import.meta.dirname, "scripts/page.ts")
      }),
      // Written by scripts/extract-docs.ts
      project("docs", "examples", {
        include: [".docs/docs.test.ts"],
        globalSetup: join(import.meta.dirname, "scripts/page.ts")
      }),
      // All type tests in one project: each project that checks types starts its own compiler.
      project("types", ".", {
        include: [],
        typecheck: {
          enabled: true,
          only: true,
          include: ["packages/*/{test,typetest}/**/*.test-d.ts"],
          tsconfig: "tsconfig.types.json"
        }
      })
    ]
  }
})
