/**
 * Takes pictures of every page, of the text service with its traffic, in both themes and several widths:
 *
 *     node packages/dashboard/scripts/screenshots.ts [folder] [--only overview] [--width 1440] [--theme dark]
 *
 * The folder is `packages/dashboard/screenshots` by default, which git ignores.
 */
import { spawn } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { chromium } from "playwright-core"
import { serve } from "./browser.ts"
import { ensure } from "./build.ts"

const root = join(import.meta.dirname, "../../..")
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", multiple: true },
    width: { type: "string", multiple: true },
    theme: { type: "string", multiple: true },
    after: { type: "string" }
  }
})
const folder = positionals[0] ?? join(import.meta.dirname, "../screenshots")
const key = "key-for-the-screenshots-0123456789"

const pages = {
  overview: "#/",
  operation: "#/operations/summarize_text",
  timeline: "#/timeline",
  alerts: "#/alerts",
  configuration: "#/configuration",
  benchmarks: "#/benchmarks",
  environment: "#/environment"
} as const

const widths = (values.width ?? ["360", "1440", "2560"]).map(Number)
const themes = (values.theme ?? ["light", "dark"]) as ReadonlyArray<"light" | "dark">
const wanted = Object.entries(pages).filter(([name]) => values.only === undefined || values.only.includes(name))

await ensure()
const service = spawn(process.execPath, ["examples/text-service/main.ts"], {
  cwd: root,
  env: { ...process.env, PORT: "0", API_KEY: key, NO_COLOR: "1" },
  stdio: ["ignore", "pipe", "inherit"]
})
const url = await new Promise<string>((resolve, reject) => {
  let output = ""
  service.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text
    const found = /^Dashboard +(\S+)$/m.exec(output)?.[1]
    if (found !== undefined) resolve(found)
  })
  service.on("exit", () => reject(new Error(`The text service ended:\n${output}`)))
})

const server = await serve()
const browser = await chromium.connect(server.wsEndpoint())
const call = (path: string, body: unknown): Promise<Response> =>
  fetch(url.replace(/dashboard$/, `resilience${path}`), {
    method: "POST",
    headers: { "x-api-key": key, "content-type": "application/json" },
    body: JSON.stringify(body)
  })
try {
  mkdirSync(folder, { recursive: true })
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-US" })
  const page = await context.newPage()
  page.on("console", (message) => message.type() === "error" && console.error(message.text()))
  page.on("pageerror", (error) => console.error(error))
  await page.goto(url)
  await page.screenshot({ path: join(folder, "sign-in.png") })
  await page.fill("#key", key)
  await page.keyboard.press("Enter")
  await page.waitForSelector("[data-operation], .empty")
  if (wanted.some(([name]) => name === "benchmarks")) {
    for (let run = 0; run < 3; run++) await call("/performance/benchmark", { iterations: 40 })
    await call("/performance/benchmark", { operation_name: "summarize_text", iterations: 200 })
  }
  await call("/config/apply-preset", { preset: "production", reason: "More patience before the launch" })
  // The script of the model server is in trouble then.
  await page.waitForTimeout(Number(values.after ?? 26) * 1000)
  await call("/circuit-breakers/generate_questions/isolate", {
    reason: "The model is being replaced",
    expires_in_seconds: 1800
  })
  for (const [name, hash] of wanted) {
    await page.goto(`${url}${hash}`)
    for (const width of widths) {
      for (const theme of themes) {
        await page.emulateMedia({ colorScheme: theme })
        await page.setViewportSize({ width, height: width < 600 ? 780 : width > 2000 ? 1300 : 900 })
        await page.waitForTimeout(name === "operation" || name === "benchmarks" ? 1_200 : 600)
        await page.screenshot({ path: join(folder, `${name}-${width}-${theme}.png`) })
      }
    }
  }
  await context.close()
} finally {
  await browser.close()
  await server.close()
  service.kill("SIGINT")
}
console.log(folder)
