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
    projects: [
      project("breakwater", "packages/breakwater"),
      project("scripts", "scripts"),
      project("examples", "examples", { include: ["**/*.test.ts"], exclude: [".docs/**", "**/node_modules/**"] }),
      // Written by scripts/extract-docs.ts
      project("docs", "examples", { include: [".docs/docs.test.ts"] }),
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
