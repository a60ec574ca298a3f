// What was built must run under a strict content security policy and with no
// network but its own host.
import { readdirSync, readFileSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../dist', import.meta.url))
const problems = []
const html = readFileSync(join(dist, 'index.html'), 'utf8')
if (/<script(?![^>]*\bsrc=)[^>]*>/.test(html)) problems.push('index.html: inline script')
if (/<style|\sstyle=|\son\w+=/.test(html)) problems.push('index.html: inline style or handler')
if (!existsSync(join(dist, '.keep'))) problems.push('dist/.keep is gone')
const outside = /(?:https?:)?\/\/(?!www\.w3\.org\/)[a-z0-9-]+(\.[a-z0-9-]+)+/gi
let bytes = 0
for (const name of readdirSync(join(dist, 'assets'))) {
  const file = join(dist, 'assets', name)
  bytes += statSync(file).size
  if (!/\.(js|css)$/.test(name)) continue
  const text = readFileSync(file, 'utf8')
  for (const m of text.matchAll(outside)) problems.push(`${name}: outside host ${m[0]}`)
  if (/url\(\s*["']?data:/.test(text)) problems.push(`${name}: data: address`)
  if (/\beval\(|new Function\(/.test(text)) problems.push(`${name}: eval`)
}
if (problems.length) {
  process.stderr.write(problems.join('\n') + '\n')
  process.exit(1)
}
process.stdout.write(`dist is clean: ${Math.round(bytes / 1024)} KiB with fonts\n`)
