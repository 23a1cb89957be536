import axe from "axe-core"
import { Bulkhead, RateLimiter, Strategy } from "breakwater"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Browser, Page } from "playwright-core"
import { type App, start } from "./App.ts"
import { connect, open, tile } from "./browser.ts"

let app: App
let browser: Browser

beforeAll(async () => {
  const limited = Strategy.make("limited", {
    bulkhead: Bulkhead.settings({ maxConcurrent: 2 }),
    quota: RateLimiter.settings({ limit: 1_000 }),
    retry: { maxAttempts: 5, jitter: "none" }
  })
  app = await start({
    operations: ["summarize_text", "answer_question", "translate"],
    strategies: { translate: limited },
    everyMillis: 100
  })
  browser = await connect()
  // Something of everything is to be seen.
  app.failing.add("summarize_text")
  for (let call = 0; call < 4; call++) await app.call("summarize_text")
  await app.api("POST", "/circuit-breakers/translate/metrics-only", { reason: "we look at it first" })
  await app.api("POST", "/circuit-breakers/translate/isolate", { reason: "a new model is rolled out" })
  await app.api("POST", "/operations/translate/rate-limits/pause", {
    scope: "quota",
    pause_seconds: 3_600,
    reason: "the provider asked for it"
  })
  await app.api("POST", "/config/apply-preset", { preset: "production", reason: "more patience" })
  await app.api("POST", "/performance/benchmark", { operation_name: "answer_question", iterations: 20 })
})

afterAll(async () => {
  await browser.close()
  await app.stop()
})

/** Axe comes through the debugger, past the policy that would not let it in. */
const check = async (page: Page, where: string): Promise<void> => {
  await page.evaluate(`typeof axe === "undefined" ? (() => { ${axe.source} })() : undefined`)
  const { violations } = await page.evaluate<axe.AxeResults>(
    `axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })`
  )
  const serious = violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ help, id, nodes }) => `${where}: ${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`
    )
  assert.deepStrictEqual(serious, [])
}

const pages: Readonly<Record<string, (page: Page) => Promise<unknown>>> = {
  "#/": (page) => tile(page, "translate").waitFor(),
  "#/operations/summarize_text": async (page) => {
    await page
      .getByText(/refused by circuit/)
      .first()
      .waitFor()
    await page.getByText("Attempt timeout", { exact: true }).waitFor()
  },
  "#/operations/translate": async (page) => {
    await page.getByText("we look at it first").waitFor()
    await page.getByText(/^paused, \d+:\d\d(:\d\d)? left$/).waitFor()
    await page.getByRole("heading", { name: "Findings" }).waitFor()
  },
  "#/timeline": (page) =>
    page
      .getByRole("button", { name: /summarize_text opened/ })
      .first()
      .click(),
  "#/alerts": (page) => page.getByRole("region", { name: "Open alerts" }).waitFor(),
  "#/configuration": async (page) => {
    await page.locator('[data-field="retry_attempts"] input').fill("99")
    await page.getByText(/^Error: retry_attempts is 99/).waitFor()
    await page.getByText("Internal RPC").waitFor()
  },
  "#/benchmarks": (page) => page.getByRole("region", { name: "Benchmarks" }).getByText("answer question").waitFor(),
  "#/environment": (page) => page.getByRole("region", { name: "Signals" }).waitFor()
}

describe.each(["light", "dark"] as const)("in the %s theme", (scheme) => {
  it("has no serious fault on any page, as axe sees it", async () => {
    const { complaints, context, page } = await open(browser, app.url, { scheme, key: "wrong" })
    await page.getByRole("alert").waitFor()
    await check(page, "sign-in")
    await page.fill("#key", "key-of-the-dashboard-0123456789")
    await page.keyboard.press("Enter")
    for (const [hash, isReady] of Object.entries(pages)) {
      await page.evaluate((hash) => void (location.hash = hash), hash)
      await isReady(page)
      await check(page, hash)
    }
    await page.evaluate(() => void (location.hash = "#/operations/answer_question"))
    await page.getByRole("button", { name: "Isolate" }).click()
    await page.locator("[name=reason]:focus").waitFor()
    await page.keyboard.press("Enter")
    await page.getByText("Say why").waitFor()
    await check(page, "dialog")
    assert.isEmpty(complaints)
    await context.close()
  })

  it("fits screens of 360 and 2560 points without scrolling sideways", async () => {
    for (const width of [360, 2_560]) {
      const { context, page } = await open(browser, app.url, { scheme, width })
      for (const [hash, isReady] of Object.entries(pages)) {
        await page.evaluate((hash) => void (location.hash = hash), hash)
        await isReady(page)
        const excess = await page.evaluate(() => {
          const main = document.querySelector("main")!
          return Math.max(main.scrollWidth - main.clientWidth, document.documentElement.scrollWidth - innerWidth)
        })
        assert.isAtMost(excess, 0, `${hash} at ${width}`)
      }
      await context.close()
    }
  })
})
