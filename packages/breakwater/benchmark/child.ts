/** Runs code in processes of their own, as many at a time as there are cores. */
import { Effect, Semaphore } from "effect"
import { spawn } from "node:child_process"
import { availableParallelism } from "node:os"

const cores = Semaphore.makeUnsafe(availableParallelism())

/** Reads the numbers that a process prints. */
export const numbersFrom = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}): Promise<ReadonlyArray<number>> =>
  Effect.runPromise(cores.withPermits(1)(Effect.promise(() => run(args, env))))

const run = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Promise<ReadonlyArray<number>> =>
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
      const printed = output.trim().split(/\s+/)
      const numbers = printed.map((number) => Number(number || NaN))
      if (code === 0 && !numbers.some(Number.isNaN)) resolve(numbers)
      else reject(new Error(`node ${args.join(" ")} ended with ${code} and printed ${JSON.stringify(output)}`))
    })
  })
