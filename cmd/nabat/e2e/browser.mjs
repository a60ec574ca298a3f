// A browser on a string: one JSON object a line on standard input asks for one
// step, one JSON object a line on standard output answers it. What the steps mean
// is the business of the Go test; this file knows no screen of ours.
//
//   node browser.mjs <directory with node_modules/playwright-core> <browser>
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

const [, , modules, executablePath] = process.argv
const { chromium } = createRequire(resolve(modules, 'package.json'))('playwright-core')

const args = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run']
if (process.getuid?.() === 0) args.push('--no-sandbox')
const browser = await chromium.launch({ executablePath, args })

const people = new Map() // name → a context of one's own: cookies, storage
const pages = new Map()
const said = new Map() // what each page wrote to its console

// Runs in the page before its own script: when the last frame came, and how long
// the page itself was not given the processor. A deaf page hears no frame, a mute
// one sends none.
const watch = () => {
  globalThis.lastFrame = 0
  globalThis.starved = 0
  let ticked = performance.now()
  setInterval(() => {
    const now = performance.now()
    globalThis.starved = Math.max(globalThis.starved, now - ticked - 50)
    ticked = now
  }, 50)
  const Real = globalThis.WebSocket
  globalThis.WebSocket = class extends Real {
    constructor(...a) {
      super(...a)
      this.addEventListener('message', (e) => {
        if (globalThis.deaf) {
          e.stopImmediatePropagation()
          return
        }
        globalThis.lastFrame = performance.now()
        globalThis.starved = 0
      })
    }
    send(frame) {
      if (!globalThis.mute) super.send(frame)
    }
  }
}

const steps = {
  async open({ name, url }) {
    if (!people.has(name)) {
      const context = await browser.newContext({ locale: 'ru-RU', viewport: { width: 1600, height: 1000 } })
      await context.addInitScript(watch)
      people.set(name, context)
      said.set(name, [])
    }
    await pages.get(name)?.close()
    const page = await people.get(name).newPage()
    const log = said.get(name)
    page.on('console', (m) => log.push(`${m.type()}: ${m.text()}`))
    page.on('pageerror', (e) => log.push(`pageerror: ${e.stack ?? e}`))
    page.on('requestfailed', (r) => log.push(`failed: ${r.url()} ${r.failure()?.errorText}`))
    pages.set(name, page)
    await page.goto(url)
  },
  // The tab's process dies; nothing in it runs to an end.
  crash: ({ page }) =>
    Promise.all([page.waitForEvent('crash'), page.goto('chrome://crash').catch(() => {})]).then(() => null),
  fill: ({ page, selector, text }) => page.fill(selector, text),
  click: ({ page, selector }) => page.click(selector),
  choose: ({ page, selector, text }) => page.selectOption(selector, text),
  press: ({ page, text }) => page.keyboard.press(text),
  see: ({ page, selector, timeout }) => page.waitForSelector(selector, { timeout }).then(() => null),
  gone: ({ page, selector, timeout }) => page.waitForSelector(selector, { state: 'detached', timeout }).then(() => null),
  // The page's policy forbids eval, which the library's own waiting needs.
  async until({ page, text, timeout }) {
    for (const end = performance.now() + timeout; ; ) {
      const value = await page.evaluate(text)
      if (value) return value
      if (performance.now() > end) throw new Error(`never true: ${text}`)
      await new Promise((done) => setTimeout(done, 50))
    }
  },
  run: ({ page, text }) => page.evaluate(text),
  cookies: ({ name }) => people.get(name).cookies(),
  shot: ({ page, file }) => page.screenshot({ path: file }).then(() => null),
  said: () => Object.fromEntries(said),
}

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line)
  const page = pages.get(step.name)
  page?.setDefaultTimeout(step.timeout)
  let answer
  try {
    answer = { value: (await steps[step.do]({ ...step, page })) ?? null }
  } catch (e) {
    answer = { error: String(e?.message ?? e) }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
await browser.close()
