import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Browser, Page } from "playwright-core"
import { type App, key, readKey, start } from "./App.ts"
import { connect, open, tile } from "./browser.ts"

const operations = ["summarize_text", "answer_question", "charge_card", "translate", "embed"]

let app: App
let browser: Browser

beforeAll(async () => {
  app = await start({ operations, everyMillis: 50 })
  browser = await connect()
})

afterAll(async () => {
  await browser.close()
  await app.stop()
})

const goTo = async (page: Page, hash: string): Promise<void> => {
  await page.evaluate((hash) => void (location.hash = hash), hash)
}

const expectState = (page: Page, operation: string, state: string): Promise<void> =>
  tile(page, operation)
    .and(page.locator(`[data-state="${state}"]`))
    .waitFor({ timeout: 10_000 })

describe("signing in", () => {
  it("refuses a wrong key in words, and keeps a right one for this tab only", async () => {
    const { complaints, context, page } = await open(browser, app.url, { key: "not-the-key" })
    await page.getByRole("alert").getByText("The server does not know this key.").waitFor()
    const requests: Array<{ readonly url: string; readonly key: string | undefined }> = []
    page.on("request", (request) => requests.push({ url: request.url(), key: request.headers()["x-api-key"] }))
    await page.fill("#key", key)
    await page.getByRole("button", { name: "Sign in" }).click()
    await page.locator("[data-operation]").first().waitFor()

    const api = requests.filter(({ url }) => url.includes("/internal/resilience"))
    assert.isAbove(api.length, 0)
    for (const request of api) assert.strictEqual(request.key, key)
    for (const { url } of requests) assert.notInclude(url, key)
    // Nothing comes from anywhere else.
    for (const { url } of requests) assert.strictEqual(new URL(url).origin, app.origin)
    assert.deepStrictEqual(await page.evaluate(() => [localStorage.length, localStorage.getItem("breakwater-theme")]), [
      1,
      "system"
    ])
    assert.isEmpty(await context.cookies())

    await page.reload()
    await page.locator("[data-operation]").first().waitFor()
    const other = await context.newPage()
    await other.goto(app.url)
    await other.locator("#key").waitFor()

    await page.getByRole("button", { name: "Sign out" }).click()
    await page.locator("#key").waitFor()
    assert.strictEqual(await page.evaluate(() => sessionStorage.length), 0)
    assert.isEmpty(complaints)
    await context.close()
  })

  it("tells a key that may only read what it needs to do more", async () => {
    const { context, page } = await open(browser, app.url, { key: readKey })
    await tile(page, "translate").click()
    await page.getByRole("button", { name: "Isolate" }).click()
    await page.fill("[name=reason]", "not allowed")
    await page.keyboard.press("Enter")
    await page.getByRole("dialog").getByRole("button", { name: "Isolate" }).click()
    await page.getByRole("alert").getByText("This key may only read: it needs the scope operate.").waitFor()
    assert.strictEqual(await page.locator(".state-line").getAttribute("data-state"), "closed")
    await context.close()
  })
})

describe("watching", () => {
  it("turns a tile within 2 s of its circuit opening, says so aloud, and shows why calls are refused", async () => {
    const { complaints, context, page } = await open(browser, app.url)
    await expectState(page, "summarize_text", "closed")
    const before = performance.now()
    app.failing.add("summarize_text")
    await expectState(page, "summarize_text", "open")
    const took = performance.now() - before
    assert.isBelow(took, 2_000)
    await page.getByRole("log").getByText("summarize_text opened").waitFor({ state: "attached" })
    // The worst one comes first, with the time that is left.
    await page
      .locator('[data-index="0"][data-operation="summarize_text"]')
      .getByText(/^[45]:\d\d$/)
      .waitFor()

    await tile(page, "summarize_text").click()
    await page
      .getByText(/refused by circuit summarize_text: 3 failures in a row/)
      .first()
      .waitFor()
    await page.getByText("Calls are refused until the next probe.").waitFor()
    await goTo(page, "#/timeline")
    await page
      .getByRole("button", { name: /summarize_text opened/ })
      .first()
      .click()
    const around = page.getByRole("region", { name: "Around it" })
    await around.getByText("Closed", { exact: true }).first().waitFor()
    await around.getByText(/decisions within 5 s/i).waitFor()
    assert.isEmpty(complaints)
    app.failing.delete("summarize_text")
    await app.api("POST", "/circuit-breakers/summarize_text/reset")
    await context.close()
  })

  it("shows hostile names and errors as text", async () => {
    const { complaints, context, page } = await open(browser, app.url)
    await expectState(page, "embed", "closed")
    // Names of operations are checked where they are made; keys, such as tenants, come from anywhere.
    const tenant = `<img src=x onerror="window.hacked=3">`
    app.hostile.add("embed")
    for (let call = 0; call < 4; call++) await app.call("embed", tenant)
    await expectState(page, "embed", "open")
    await tile(page, "embed").click()
    await page
      .getByText(/refused by circuit embed:<img/)
      .first()
      .waitFor()
    await page.getByRole("region", { name: "Circuits" }).getByText(`embed:${tenant}`).first().waitFor()
    await goTo(page, "#/timeline")
    await page.getByText(`embed:${tenant} opened`).first().waitFor()
    await page.getByText("last error <img src=x").first().waitFor()
    await goTo(page, "#/alerts")
    await page.getByRole("heading", { level: 1, name: "Alerts" }).waitFor()
    assert.strictEqual(await page.locator("img").count(), 0)
    app.hostile.clear()

    // And a server that is not ours could say anything.
    const name = `<svg onload="window.hacked=4">`
    await page.route("**/operations", async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, body: (await response.text()).replaceAll('"translate"', JSON.stringify(name)) })
    })
    await goTo(page, "#/")
    await tile(page, name).click()
    await page.getByRole("heading", { level: 1, name }).waitFor()
    assert.strictEqual(await page.evaluate(() => "hacked" in window), false)
    assert.isEmpty(complaints)
    await page.unrouteAll({ behavior: "ignoreErrors" })
    await context.close()
  })

  it("filters, searches and moves by keyboard alone", async () => {
    const { context, page } = await open(browser, app.url)
    await expectState(page, "translate", "closed")
    await page.keyboard.press("/")
    await page.keyboard.type("card")
    await tile(page, "charge_card").waitFor()
    assert.strictEqual(await page.locator("[data-operation]").count(), 1)
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.press("Delete")
    await page.getByLabel("Sort by").selectOption("name")
    await page.locator('[data-index="4"]').waitFor()
    await page.locator('[data-index="0"]').focus()
    await page.keyboard.press("ArrowRight")
    await page.waitForFunction(() => (document.activeElement as HTMLElement | null)?.dataset["index"] === "1")
    await page.keyboard.press("End")
    await page.waitForFunction(() => (document.activeElement as HTMLElement | null)?.dataset["index"] === "4")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { level: 1, name: "translate" }).waitFor()
    await context.close()
  })

  it("says when the connection is lost, and afterwards what was missed", async () => {
    const { context, page } = await open(browser, app.url)
    await expectState(page, "answer_question", "closed")
    await page.locator('[data-connection="Live"]').waitFor()
    await app.goAway()
    await page.getByRole("alert").getByText("No connection.").waitFor()
    app.failing.add("answer_question")
    for (let call = 0; call < 4; call++) await app.call("answer_question")
    await app.comeBack()
    await page
      .getByRole("button", { name: "Try now" })
      .click({ timeout: 2_000 })
      .catch(() => {})
    await page.getByText(/Missed meanwhile: .*transition/).waitFor()
    await expectState(page, "answer_question", "open")
    await page.getByRole("link", { name: "Show" }).click()
    await page.getByRole("button", { name: /answer_question opened.*missed/ }).waitFor()
    assert.strictEqual(await page.getByText("No connection.").count(), 0)
    app.failing.delete("answer_question")
    await app.api("POST", "/circuit-breakers/answer_question/reset")
    await context.close()
  })
})

describe("steering", () => {
  it("isolates with reason and expiry, in two steps, and shows it end", async () => {
    const { complaints, context, page } = await open(browser, app.url)
    await tile(page, "translate").click()
    await page.getByRole("button", { name: "Isolate" }).click()
    await page.locator("[name=reason]:focus").waitFor()
    // Step one does not let a command through that says no reason.
    await page.keyboard.press("Enter")
    await page.getByText("Say why: others will read it.").waitFor()
    await page.fill("[name=reason]", "a new model is rolled out")
    await page.fill("[name=seconds]", "3")
    await page.keyboard.press("Enter")
    await page.getByRole("dialog", { name: "Isolate translate for 3 s?" }).waitFor()
    const sent = page.waitForRequest((request) => request.url().endsWith("/isolate"))
    await page.getByRole("dialog").getByRole("button", { name: "Isolate" }).click()
    assert.match((await sent).headers()["if-match"] ?? "", /^"\d+"$/)
    await page
      .locator('.state-line[data-state="isolated"]')
      .getByText(/^0:0\d left$/)
      .waitFor()
    await page.locator(".state-line").getByText("“a new model is rolled out”").waitFor()
    // It ends by itself.
    await page.locator('.state-line[data-state="closed"]').waitFor({ timeout: 10_000 })
    await goTo(page, "#/timeline")
    await page.getByRole("button", { name: /translate is no longer isolated/ }).waitFor()
    assert.isEmpty(complaints)
    await context.close()
  })

  it("refuses a command about a circuit that has changed, and undoes one", async () => {
    const { context, page } = await open(browser, app.url)
    await tile(page, "charge_card").click()
    await page.getByRole("button", { name: "Trip" }).click()
    await page.fill("[name=reason]", "maintenance")
    await page.keyboard.press("Enter")
    await page.getByRole("dialog", { name: "Trip charge_card for 1 min?" }).waitFor()
    await app.api("POST", `/circuit-breakers/charge_card/isolate`, { reason: "somebody else was faster" })
    await app.api("POST", `/circuit-breakers/charge_card/close`)
    await page.getByRole("dialog").getByRole("button", { name: "Trip" }).click()
    await page.getByText("The circuit changed meanwhile.").waitFor()
    await page.getByRole("button", { name: "Try again" }).click()
    await page.getByRole("button", { name: "Next" }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Trip" }).click()
    await page.locator('.state-line[data-state="open"]').waitFor()
    await page.getByRole("button", { name: "Undo" }).click()
    await page.locator('.state-line[data-state="closed"]').waitFor()
    const { state } = (await (await app.api("GET", "/circuit-breakers/charge_card")).json()) as { state: string }
    assert.strictEqual(state, "closed")
    await context.close()
  })

  it("refuses a bad configuration with the finding at the field, shows what a good one changes, and rolls it back", async () => {
    const { complaints, context, page } = await open(browser, app.url)
    await page.getByRole("link", { name: "Configuration" }).click()
    const field = page.locator('[data-field="retry_attempts"]')
    await field.locator("input").fill("99")
    await field.getByText(/^Error: retry_attempts is 99; it has to be a whole number from 1 to 10/).waitFor()
    assert.strictEqual(await field.locator("input").getAttribute("aria-invalid"), "true")
    await page.getByRole("button", { name: "Show what would change" }).click()
    assert.strictEqual(await page.getByRole("dialog").count(), 0)
    await page.waitForFunction(() => (document.activeElement as HTMLInputElement | null)?.name === "retry_attempts")

    await field.locator("input").fill("4")
    await field.getByText(/^Error/).waitFor({ state: "detached" })
    await page.getByRole("button", { name: "Show what would change" }).click()
    await page.getByRole("dialog").getByRole("row", { name: "retry attempts 3 4" }).waitFor()
    await page.fill("[name=reason]", "one more attempt")
    await page.getByRole("button", { name: "Apply" }).click()
    await page.getByText("one more attempt").waitFor()
    const read = async () =>
      ((await (await app.api("GET", "/config")).json()) as { custom_overrides: unknown }).custom_overrides
    assert.deepStrictEqual(await read(), { retry_attempts: 4 })

    await page
      .getByRole("button", { name: /^Roll back to before version/ })
      .first()
      .click()
    await page.getByRole("dialog").getByRole("row", { name: "retry attempts 4 3" }).waitFor()
    await page.getByRole("button", { name: "Apply" }).click()
    await page.getByText("rollback", { exact: true }).waitFor()
    assert.isNull(await read())
    assert.isEmpty(complaints)
    await context.close()
  })

  it("runs a benchmark and keeps its history", async () => {
    const { context, page } = await open(browser, app.url)
    await goTo(page, "#/benchmarks")
    await page.getByText("No benchmark has run").waitFor()
    await page.getByLabel("What").selectOption("translate")
    await page.getByRole("button", { name: "Run" }).click()
    await page.getByText("The benchmark is done.").waitFor({ timeout: 30_000 })
    await page.getByRole("region", { name: "Benchmarks" }).getByText("translate").waitFor()
    const { total_count } = (await (await app.api("GET", "/performance/history")).json()) as { total_count: number }
    assert.strictEqual(total_count, 1)
    await context.close()
  })
})
