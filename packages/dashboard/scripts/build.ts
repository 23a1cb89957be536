/**
 * Builds the page and writes it, as a module that holds every file, to `src/internal/page.generated.js`.
 *
 * Does nothing if that module was made from what the sources are now. It takes one to two seconds, so whatever needs the
 * page calls it first: `pnpm start`, `pnpm test`, and the tests one by one.
 */
import { createHash } from "node:crypto"
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build, version, type Rolldown } from "vite"

const home = join(import.meta.dirname, "..")
const page = join(home, "page")
const output = join(home, "src/internal/page.generated.js")
const root = "/internal/dashboard"

const types: ReadonlyMap<string, string> = new Map([
  ["html", "text/html; charset=utf-8"],
  ["js", "text/javascript; charset=utf-8"],
  ["css", "text/css; charset=utf-8"],
  ["svg", "image/svg+xml"]
])

const digest = (parts: ReadonlyArray<string>): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part).update("\0")
  return hash.digest("hex").slice(0, 16)
}

/** The versions of libraries are in the workspace's catalog. */
const inputs = (): ReadonlyArray<string> => {
  const files = globSync("**/*.{ts,tsx,css,html,svg}", { cwd: page }).toSorted()
  return [
    version,
    readFileSync(import.meta.filename, "utf8"),
    readFileSync(join(home, "../../pnpm-workspace.yaml"), "utf8"),
    ...files.flatMap((file) => [file, readFileSync(join(page, file), "utf8")])
  ]
}

const marker = (fingerprint: string): string => `// Made by scripts/build.ts from ${fingerprint}`

const isFresh = (fingerprint: string): boolean =>
  existsSync(output) && readFileSync(output, "utf8").startsWith(marker(fingerprint))

const bundle = async (): Promise<ReadonlyArray<Rolldown.OutputChunk | Rolldown.OutputAsset>> => {
  // Vite sets it for the whole process, in which tests may follow.
  const environment = process.env["NODE_ENV"]
  const result = await build({
    configFile: false,
    root: page,
    base: `${root}/`,
    logLevel: "warn",
    mode: "production",
    // In development, elements know where on this machine they were written.
    oxc: { jsx: { runtime: "automatic", importSource: "preact", development: false } },
    build: {
      write: false,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: false,
      rolldownOptions: {
        output: { entryFileNames: "app-[hash].js", assetFileNames: "[name]-[hash][extname]", codeSplitting: false }
      }
    }
  })
  if (environment === undefined) delete process.env["NODE_ENV"]
  else process.env["NODE_ENV"] = environment
  return (Array.isArray(result) ? result : [result as Rolldown.RolldownOutput]).flatMap(({ output }) => output)
}

const moduleOf = (fingerprint: string, files: Awaited<ReturnType<typeof bundle>>): string => {
  const entries = files.map((file) => {
    const text = file.type === "chunk" ? file.code : Buffer.from(file.source).toString("utf8")
    const extension = file.fileName.split(".").at(-1)!
    const type = types.get(extension)
    if (type === undefined) throw new Error(`${file.fileName}: no content type is known for .${extension}`)
    const asset = {
      type,
      etag: `"${digest([text])}"`,
      isImmutable: extension !== "html",
      text,
      gzip: gzipSync(text, { level: 9 }).toString("base64")
    }
    return [file.fileName === "index.html" ? root : `${root}/${file.fileName}`, asset] as const
  })
  return [
    marker(fingerprint),
    `export const root = ${JSON.stringify(root)}`,
    `export const assets = new Map(${JSON.stringify(entries)})`,
    ""
  ].join("\n")
}

/** Builds the page if it is missing or older than its sources. */
export const ensure = async (): Promise<"built" | "fresh"> => {
  const fingerprint = digest(inputs())
  if (isFresh(fingerprint)) return "fresh"
  const text = moduleOf(fingerprint, await bundle())
  // In one step, for others may be reading it.
  const draft = `${output}.${process.pid}`
  writeFileSync(draft, text)
  renameSync(draft, output)
  return "built"
}

if (import.meta.main) {
  if ((await ensure()) === "built") console.log("The dashboard was built.")
  // What is published is in `dist`, and the compiler copies no JavaScript.
  if (process.argv.includes("--dist")) {
    mkdirSync(join(home, "dist/internal"), { recursive: true })
    copyFileSync(output, join(home, "dist/internal/page.generated.js"))
  }
}
