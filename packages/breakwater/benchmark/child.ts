/** Runs code in processes of their own, as many at a time as there are cores. */
import { Effect, Semaphore } from "effect"
import { spawn } from "node:child_process"
import { availableParallelism } from "node:os"

const cores = Semaphore.makeUnsafe(availableParallelism())

/** Reads the number that a process prints. */
export const numberFrom = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}): Promise<number> =>
  Effect.runPromise(cores.withPermits(1)(Effect.promise(() => run(args, env))))

const run = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: import.meta.dirname,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"]
    })
    let output = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.on("error", reject)
    child.on("close", (code) => {
      const printed = Number(output.trim() || NaN)
      if (code === 0 && !Number.isNaN(printed)) resolve(printed)
      else reject(new Error(`node ${args.join(" ")} ended with ${code} and printed ${JSON.stringify(output)}`))
    })
  })
