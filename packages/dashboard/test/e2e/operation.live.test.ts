import { Bulkhead, CircuitBreaker, RateLimiter, RetryBudget, Strategy } from "breakwater"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Browser, Locator, Page } from "playwright-core"
import { type App, start } from "./App.ts"
import { connect, open, tile } from "./browser.ts"

const patient = { attempt: "50 seconds", total: "60 seconds" } as const

const strategies = {
  hasty: Strategy.make("hasty", {
    retry: { maxAttempts: 3, base: "40 seconds", maxDelay: "60 seconds", jitter: "none" },
    timeout: { attempt: "8 seconds", total: "70 seconds" }
  }),
  sampled: Strategy.make("sampled", {
    extends: "aggressive",
    retry: false,
    circuitBreaker: {
      tripPolicy: CircuitBreaker.anyOf(
        CircuitBreaker.countWindow({ size: 20, rate: 0.5 }),
        CircuitBreaker.failuresIn({ count: 9, duration: "10 minutes" })
      )
    }
  }),
  limited: Strategy.make("limited", {
    extends: "aggressive",
    retry: { maxAttempts: 2, base: "10 millis", minDelay: "10 millis", jitter: "none" },
    circuitBreaker: { failureThreshold: 50 },
    timeout: patient,
    bulkhead: Bulkhead.settings({ maxConcurrent: 2, maxQueue: 3, maxWait: "1 minute" }),
    admission: RateLimiter.settings({ limit: 10, window: "1 hour" }),
    quota: RateLimiter.settings({ limit: 1_000 }),
    retryBudget: RetryBudget.settings({ ratio: 0.5 })
  })
}

let app: App
let browser: Browser

beforeAll(async () => {
  app = await start({
    operations: [
      "disabled_one",
      "counted_one",
      "stacked_one",
      "hasty_one",
      "sampled_one",
      "limited_one",
      "watched_one",
      "noted_one"
    ],
    strategies: { hasty_one: strategies.hasty, sampled_one: strategies.sampled, limited_one: strategies.limited }
  })
  browser = await connect()
})

afterAll(async () => {
  await browser.close()
  await app.stop()
})

const look = async (page: Page, operation: string): Promise<void> => {
  await tile(page, operation).click()
  await page.getByRole("heading", { level: 1, name: operation }).waitFor()
}

const stateOf = (page: Page, state: string): Locator => page.locator(`.state-line[data-state="${state}"]`)

/** The two steps of a command. */
const command = async (
  page: Page,
  name: "Isolate" | "Disable" | "Metrics only",
  circuit: string,
  { reason, seconds, span }: { readonly reason: string; readonly seconds: number; readonly span: string }
): Promise<void> => {
  await page.locator(".page-aside").getByRole("button", { name }).click()
  await page.locator("[name=reason]:focus").waitFor()
  await page.keyboard.press("Enter")
  await page.getByText("Say why: others will read it.").waitFor()
  await page.fill("[name=reason]", reason)
  await page.fill("[name=seconds]", String(seconds))
  await page.keyboard.press("Enter")
  const dialog = page.getByRole("dialog", { name: `${name} ${circuit} for ${span}?` })
  await dialog.getByRole("button", { name }).click()
  await dialog.waitFor({ state: "detached" })
}

const circuitOf = async (name: string) =>
  (await (await app.api("GET", `/circuit-breakers/${name}`)).json()) as {
    readonly state: string
    readonly overrides: ReadonlyArray<{ readonly mode: string; readonly reason: string }>
  }

describe("an override", () => {
  it.each([
    ["disabled_one", "Disable", "disabled", "Disabled", "is no longer disabled"],
    ["counted_one", "Metrics only", "metrics_only", "Metrics only", "is no longer metrics only"]
  ] as const)(
    "of %s: %s takes two steps, counts down, ends by itself, and is undone",
    { timeout: 60_000 },
    async (operation, name, mode, label, ended) => {
      const { complaints, context, page } = await open(browser, app.url)
      await look(page, operation)
      const override = page.locator(`.override[data-mode="${mode}"]`)

      await command(page, name, operation, { reason: "a rehearsal", seconds: 4, span: "4 s" })
      await stateOf(page, mode).getByText(label, { exact: true }).waitFor()
      await override.getByText("“a rehearsal”").waitFor()
      await override.getByText(/^0:0[1-4] left$/).waitFor()
      await override.getByText(/^by key \S+$/).waitFor()
      // It lets everything through, whatever fails.
      app.failing.add(operation)
      for (let call = 0; call < 4; call++) await app.call(operation)
      app.failing.delete(operation)
      await app.api("POST", `/circuit-breakers/${operation}/reset`, {})
      await stateOf(page, "closed").waitFor()

      await command(page, name, operation, { reason: "a short one", seconds: 2, span: "2 s" })
      await override.getByText("“a short one”").waitFor()
      await stateOf(page, "closed").waitFor({ timeout: 20_000 })
      await override.waitFor({ state: "detached" })

      await command(page, name, operation, { reason: "a mistake", seconds: 900, span: "15 min" })
      await stateOf(page, mode)
        .getByText(/^1[45]:\d\d left$/)
        .waitFor()
      await page.getByRole("button", { name: "Undo" }).last().click()
      await page.getByText(`Undone: ${operation} is closed.`).waitFor()
      await stateOf(page, "closed").waitFor()
      assert.deepInclude(await circuitOf(operation), { state: "closed", overrides: [] })

      await page.getByRole("link", { name: "Timeline" }).click()
      await page
        .getByRole("button", { name: new RegExp(`${operation} ${ended}`) })
        .first()
        .waitFor()
      assert.isEmpty(complaints)
      await context.close()
    }
  )

  it("lies over another one: each is shown, ended by itself, and brought back", { timeout: 60_000 }, async () => {
    const { complaints, context, page } = await open(browser, app.url)
    await look(page, "stacked_one")
    await command(page, "Metrics only", "stacked_one", { reason: "a trial", seconds: 3_600, span: "1 h" })
    await stateOf(page, "metrics_only").waitFor()
    await command(page, "Isolate", "stacked_one", { reason: "the trial went wrong", seconds: 900, span: "15 min" })
    await stateOf(page, "isolated").waitFor()

    const overrides = page.locator(".override")
    await overrides.nth(1).waitFor()
    assert.strictEqual(await overrides.count(), 2)
    const [first, second] = [overrides.nth(0), overrides.nth(1)]
    await first.getByText("Isolated", { exact: true }).waitFor()
    await first.getByText("in force").waitFor()
    await first.getByText("“the trial went wrong”").waitFor()
    await first.getByText(/^1[45]:\d\d left$/).waitFor()
    await first.getByText(/^by key \S+$/).waitFor()
    await second.getByText("Metrics only", { exact: true }).waitFor()
    await second.getByText("underneath").waitFor()
    await second.getByText("“a trial”").waitFor()
    await second.getByText(/^(1:00:00|59:\d\d) left$/).waitFor()

    // The stronger one is ended, in two steps, and comes back for what it had left.
    await first.getByRole("button", { name: "End isolated of stacked_one" }).click()
    await page.getByRole("button", { name: "Next" }).click()
    await page
      .getByRole("dialog", { name: "End isolated of stacked_one?" })
      .getByRole("button", { name: "End override" })
      .click()
    await stateOf(page, "metrics_only").waitFor()
    await first.getByText("Metrics only", { exact: true }).waitFor()
    assert.strictEqual(await overrides.count(), 1)
    await page.getByRole("button", { name: "Undo" }).last().click()
    await stateOf(page, "isolated").waitFor()
    assert.deepStrictEqual(
      (await circuitOf("stacked_one")).overrides.map(({ mode, reason }) => [mode, reason]),
      [
        ["isolated", "the trial went wrong"],
        ["metrics_only", "a trial"]
      ]
    )

    // Close ends both; undone, both are there again.
    await page.locator(".page-aside").getByRole("button", { name: "Close" }).click()
    await page.getByRole("button", { name: "Next" }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click()
    await stateOf(page, "closed").waitFor()
    await page.getByRole("button", { name: "Undo" }).last().click()
    await stateOf(page, "isolated").waitFor()
    await overrides.nth(1).waitFor()
    assert.isEmpty(complaints)
    await context.close()
  })
})

describe("a window", () => {
  it("is a bar that says what it shows, for each policy of the circuit", { timeout: 30_000 }, async () => {
    const { complaints, context, page } = await open(browser, app.url)
    for (let call = 0; call < 6; call++) await app.call("sampled_one")
    app.failing.add("sampled_one")
    for (let call = 0; call < 2; call++) await app.call("sampled_one")
    app.failing.delete("sampled_one")
    await look(page, "sampled_one")
    const share = page.getByRole("meter", { name: "Latest calls" })
    await share.and(page.locator('[aria-valuetext="2 of 8 failed, 25%, opens at 50%"]')).waitFor()
    await page.getByText("2 of 8 failed").waitFor()
    assert.strictEqual(await share.getAttribute("aria-valuenow"), "25")
    assert.strictEqual(await share.locator(".gauge-mark").count(), 1)
    const failures = page.getByRole("meter", { name: "Failures in a time" })
    assert.strictEqual(await failures.locator(".slot").count(), 9)
    assert.strictEqual(await failures.locator(".slot.lit").count(), 2)
    assert.isEmpty(complaints)
    await context.close()
  })

  it("follows the calls", { timeout: 30_000 }, async () => {
    const { complaints, context, page } = await open(browser, app.url)
    await look(page, "watched_one")
    await page
      .getByRole("meter", { name: "Failures in a row" })
      .and(page.locator('[aria-valuetext="0 of 3"]'))
      .waitFor()
    app.failing.add("watched_one")
    for (let call = 0; call < 2; call++) await app.call("watched_one")
    await page
      .getByRole("meter", { name: "Failures in a row" })
      .and(page.locator('[aria-valuetext="2 of 3"]'))
      .waitFor()
    await app.call("watched_one")
    await page.getByText("Open: nothing is counted until the probes decide.").waitFor()
    app.failing.delete("watched_one")
    assert.isEmpty(complaints)
    await context.close()
  })
})

describe("a strategy", () => {
  it("shows what is doubtful about it with the fix, and its worst case in units of people", async () => {
    const { complaints, context, page } = await open(browser, app.url)
    await look(page, "hasty_one")
    const { description } = (await (await app.api("GET", "/operations/hasty_one")).json()) as {
      readonly description: {
        readonly findings: ReadonlyArray<{ readonly message: string; readonly suggestion: string }>
      }
    }
    const pipeline = page.getByRole("region", { name: "Pipeline" })
    assert.isNotEmpty(description.findings)
    for (const { message, suggestion } of description.findings) {
      await pipeline.getByText(message).first().waitFor()
      await pipeline.getByText(suggestion).first().waitFor()
    }
    const worst = async (name: string) =>
      pipeline.locator(".worst .metric").filter({ hasText: name }).locator("dd").innerText()
    // Two attempts of 8 s and a pause of 40 s: the second pause would end after the total timeout.
    assert.strictEqual(await worst("longest call"), "56 s")
    assert.strictEqual(await worst("with Retry-After"), "1 min 10 s")
    assert.strictEqual(await worst("attempts for one call"), "2")
    await pipeline.getByText("TimeoutExceeded").waitFor()
    assert.isEmpty(complaints)
    await context.close()
  })
})

describe("limits", () => {
  it("are bars: places and queue, what is left, pauses that count down, retries", { timeout: 60_000 }, async () => {
    const { complaints, context, page } = await open(browser, app.url)
    await look(page, "limited_one")
    const gauge = (name: string, text: RegExp) =>
      page.locator(`[data-gauge="${name}"]`).filter({ hasText: text }).waitFor({ timeout: 20_000 })

    app.hanging.add("limited_one")
    const calls = Array.from({ length: 3 }, () => app.call("limited_one"))
    await gauge("bulkhead ", /2 of 2 places taken.*1 of 3 queued/s)
    await gauge("admission", /7 of 10 left.*10 in 1 h/s)
    app.hanging.delete("limited_one")
    await Promise.all(calls)
    await gauge("bulkhead ", /0 of 2 places taken.*0 of 3 queued/s)
    await gauge("quota", /of 1k left/)
    await gauge("retry_budget", /of \d+ retries left/)

    const paused = await app.api("POST", "/operations/limited_one/rate-limits/pause", {
      scope: "quota",
      pause_seconds: 600,
      reason: "the provider asked for it"
    })
    assert.strictEqual(paused.status, 200)
    await gauge("quota", /paused, (10:00|9:\d\d) left/)

    // The pipeline has them where a call meets them.
    const titles = await page
      .locator(".stage-title")
      .evaluateAll((all) => all.map(({ firstChild }) => firstChild?.textContent))
    assert.deepStrictEqual(titles, [
      "Total timeout",
      "Admission",
      "Retry",
      "Retry budget",
      "Circuit breaker",
      "Bulkhead",
      "Quota",
      "Attempt timeout",
      "The call"
    ])
    const stage = page.locator(".stage").filter({ hasText: /^Bulkhead/ })
    await stage.getByText("strategy limited").first().waitFor()
    await stage.getByRole("row", { name: /^max concurrent 2/ }).waitFor()
    assert.isEmpty(complaints)
    await context.close()
  })
})

describe("the timeline", () => {
  it(
    "has transitions, overrides, changes and alerts, and shows the state around each",
    { timeout: 90_000 },
    async () => {
      const { complaints, context, page } = await open(browser, app.url)
      await tile(page, "noted_one").waitFor()
      app.failing.add("noted_one")
      for (let call = 0; call < 4; call++) await app.call("noted_one")
      app.failing.delete("noted_one")
      await app.api("POST", "/circuit-breakers/noted_one/metrics-only", {
        reason: "let us see",
        expires_in_seconds: 600
      })
      await app.api("POST", "/config/apply-preset", { preset: "production", reason: "more patience" })

      await page.getByRole("link", { name: "Timeline" }).click()
      const around = page.getByRole("region", { name: "Around it" })
      const choose = async (name: RegExp): Promise<void> => {
        await page.getByRole("button", { name }).first().click({ timeout: 40_000 })
        await around.getByText(name).first().waitFor()
      }
      await choose(/noted_one opened/)
      await around.getByText("Closed", { exact: true }).first().waitFor()
      await around.getByText("Open", { exact: true }).first().waitFor()
      await around
        .getByText(/rejected: refused by circuit noted_one/)
        .first()
        .waitFor()
      await around
        .getByText(/noted_one only counts/)
        .first()
        .waitFor()

      // What the server does not answer is asked again.
      await page.route("**/decisions?*", (route) => route.abort(), { times: 1 })
      await choose(/noted_one only counts/)
      await around.getByText("The server cannot be reached.").waitFor()
      await around
        .getByText(/rejected: refused by circuit noted_one/)
        .first()
        .waitFor()
      await around.getByText(/let us see · by key \S+ · for 10 min/).waitFor()
      await around.getByText("Metrics only", { exact: true }).first().waitFor()

      // The audit log has the command as well, with its key.
      await choose(/metrics only circuit breaker/)
      await around.getByText(/by key \S+.*let us see/).waitFor()

      await choose(/Configuration changed to version \d+/)
      await around.getByText(/more patience/).waitFor()
      await around.getByText(/In trouble now: .*noted_one \(metrics only\)/).waitFor()

      await choose(/Circuit of noted_one is open/)
      await around.getByText(/Also within 10 s/).waitFor()

      // Each kind can be left out.
      await page
        .getByRole("group", { name: "Shown" })
        .getByRole("button", { name: /^Configuration/ })
        .click()
      await page
        .getByRole("region", { name: "Events" })
        .getByText(/Configuration changed/)
        .waitFor({ state: "detached" })
      assert.isEmpty(complaints)
      await context.close()
    }
  )
})
