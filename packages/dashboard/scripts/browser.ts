/**
 * Starts a Chromium: that of `CHROMIUM_PATH`, of the system, or the one that comes by npm and needs nothing installed.
 */
import { existsSync, mkdirSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { chromium, type BrowserServer } from "playwright-core"

const system = [
  process.env["CHROMIUM_PATH"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-headless-shell",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
]

const unpacked = async (): Promise<string> => {
  // It unpacks into the folder for temporary files, which others may share: give it one of our own before it looks.
  const cache = join(import.meta.dirname, "../node_modules/.cache/chromium")
  mkdirSync(cache, { recursive: true })
  const before = process.env["TMPDIR"]
  process.env["TMPDIR"] = cache
  try {
    const { default: packed, inflate, setupLambdaEnvironment } = await import("@sparticuz/chromium")
    const bin = join(dirname(createRequire(import.meta.filename).resolve("@sparticuz/chromium")), "../bin")
    if (!existsSync("/usr/lib/x86_64-linux-gnu/libnss3.so")) {
      await inflate(join(bin, "al2023.tar.br"))
      setupLambdaEnvironment(join(cache, "al2023", "lib"))
    }
    return await packed.executablePath(bin)
  } finally {
    if (before === undefined) delete process.env["TMPDIR"]
    else process.env["TMPDIR"] = before
  }
}

/** One process, whose contexts tests share by `wsEndpoint`. */
export const serve = async (): Promise<BrowserServer> => {
  const installed = system.find((path) => path !== undefined && existsSync(path))
  if (installed === undefined && (process.platform !== "linux" || process.arch !== "x64")) {
    throw new Error("No Chromium was found, and npm has one for Linux on x64 only: set CHROMIUM_PATH to one")
  }
  const executablePath = installed ?? (await unpacked())
  return chromium.launchServer({
    executablePath,
    args: ["--no-sandbox"],
    // Under `LANG=C` the browser's language is one that `Intl` throws on.
    env: { ...process.env, LANG: "en_US.UTF-8" }
  })
}
