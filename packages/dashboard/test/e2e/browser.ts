/**
 * The browser of the tests, and what every test does with it.
 */
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core"
import { inject } from "vitest"
import { key as adminKey } from "./App.ts"

export const connect = (): Promise<Browser> => chromium.connect(inject("browser"))

export interface Tab {
  readonly page: Page
  readonly context: BrowserContext
  /** What the browser complained about: errors, and violations of the policy. */
  readonly complaints: ReadonlyArray<string>
}

export const open = async (
  browser: Browser,
  url: string,
  options: {
    readonly key?: string | undefined
    readonly scheme?: "light" | "dark"
    readonly width?: number
    readonly height?: number
  } = {}
): Promise<Tab> => {
  const { height = 900, key = adminKey, scheme = "light", width = 1280 } = options
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    reducedMotion: "reduce",
    locale: "en-US"
  })
  const page = await context.newPage()
  context.setDefaultTimeout(10_000)
  const complaints: Array<string> = []
  page.on("pageerror", (error) => complaints.push(String(error)))
  page.on("console", (message) => {
    // A request that fails is logged by the browser itself.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      complaints.push(message.text())
  })
  await page.goto(url)
  await page.fill("#key", key)
  await page.keyboard.press("Enter")
  return { page, context, complaints }
}

export const tile = (page: Page, operation: string) =>
  page.locator("a.tile").filter({ has: page.getByText(operation, { exact: true }) })
