/** Runs code in a process of its own, and reads the number that it prints. */
import { spawn } from "node:child_process"

export const numberFrom = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}): Promise<number> =>
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
