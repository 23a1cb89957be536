/** Runs code in processes of their own, as many at a time as there are cores. */
import { Effect, Semaphore } from "effect"
import { spawn } from "node:child_process"
import { availableParallelism } from "node:os"

const cores = Semaphore.makeUnsafe(availableParallelism())

/** Reads so many numbers, which are all that a process prints. */
export const numbersFrom = (
  count: number,
  args: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv = {}
): Promise<ReadonlyArray<number>> =>
  Effect.runPromise(cores.withPermits(1)(Effect.promise(() => run(count, args, env))))

const run = (count: number, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Promise<ReadonlyArray<number>> =>
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
      const numbers = output
        .trim()
        .split(/\s+/)
        .map((printed) => Number(printed || NaN))
      if (code === 0 && numbers.length === count && numbers.every(Number.isFinite)) resolve(numbers)
      else reject(new Error(`node ${args.join(" ")} ended with ${code} and printed ${JSON.stringify(output)}`))
    })
  })
