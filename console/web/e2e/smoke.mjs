// smoke.mjs looks at a running engine through every role's console:
//   node e2e/smoke.mjs <data>/demo-access.json
// It fails on a script error, a request to another host, a finding of axe, a
// banner that stays, a page wider than the screen, a header of two lines, an
// address without room, a district cut short, a word broken inside. Where the file
// says «cards», each of its people has more than a screenful of cards to see. The
// engine's own test (cmd/nabat/e2e) runs it.
import { readFileSync } from 'node:fs'
import AxeBuilder from '@axe-core/playwright'
import { fresh, logIn, openBrowser } from './browser.mjs'

const access = JSON.parse(readFileSync(process.argv[2], 'utf8'))
// The third says where axe looks at the card: with the board beside it and without.
const screens = [[1366, 768, true], [1280, 800, false], [1024, 768, true], [800, 600, false]]
const atOnce = 3 // people at a time

const browser = await openBrowser()
let failed = 0
let done = 0
const check = (role, what, problems) => {
  process.stdout.write(`${problems.length ? 'FAIL' : 'ok  '} ${role}: ${what}\n${problems.map((p) => `     ${p}\n`).join('')}`)
  failed += problems.length
  done++
}
const axe = async (page) => {
  const found = await new AxeBuilder({ page }).analyze()
  return found.violations.map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0]?.target.join(' ')}`)
}

// Runs in the page.
const misfits = () => {
  const out = []
  if (document.documentElement.scrollWidth > innerWidth) out.push(`the page is ${document.documentElement.scrollWidth} px wide`)
  for (const el of document.querySelectorAll('.table-scroll, .card-body')) {
    if (el.scrollWidth > el.clientWidth) out.push(`${el.className} is ${el.scrollWidth} px wide, of which ${el.clientWidth} are seen`)
  }
  const top = document.querySelector('.top').offsetHeight
  if (top > 60) out.push(`the header is ${top} px high`)
  for (const el of document.querySelectorAll('.c-district .clip')) {
    if (el.scrollWidth > el.clientWidth) out.push(`district «${el.textContent}» is cut short`)
  }
  const address = document.querySelector('th.c-where')?.offsetWidth ?? 0
  if (address > 0 && address < 200) out.push(`the address has ${address} px`)
  for (const el of document.querySelectorAll('.fact dt, .fact dd, .c-where, .c-what, .chip, .state, .note, button')) {
    const walk = document.createTreeWalker(el, NodeFilter.SHOW_TEXT)
    for (let text = walk.nextNode(); text !== null; text = walk.nextNode()) {
      for (const word of text.data.matchAll(/\p{L}+/gu)) {
        const range = document.createRange()
        range.setStart(text, word.index)
        range.setEnd(text, word.index + word[0].length)
        if (new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) out.push(`«${word[0]}» is broken`)
      }
    }
  }
  return out
}

const layout = async (page, role, what, { withAxe = false } = {}) => {
  for (const [width, height, both] of screens) {
    await page.setViewportSize({ width, height })
    check(role, `${what} at ${width}: layout`, await page.evaluate(misfits))
    if (withAxe && both) check(role, `${what} at ${width}: axe`, await axe(page))
  }
  await page.setViewportSize({ width: screens[0][0], height: screens[0][1] })
}

// A key must not paint more than a screenful before the eye sees it; all the rest
// comes by itself.
const searchIsQuick = async (page) => {
  const text = access.search
  const before = Number(await page.getByTestId('board').getAttribute('data-count'))
  const rows = await page.evaluate(async (typed) => {
    const el = document.getElementById('search')
    el.value = typed
    el.dispatchEvent(new InputEvent('input', { bubbles: true }))
    await new Promise((r) => requestAnimationFrame(r))
    return document.querySelectorAll('[data-testid=incident-row]').length
  }, text)
  const problems = rows === 0 || rows > 30 ? [`${rows} rows in the frame after a key`] : []
  await page.getByTestId('incident-row').nth(before - access.unlike - 1).waitFor()
  await page.getByTestId('clear-filter').click().catch(() => {})
  await page.getByTestId('search').fill('')
  await page.getByTestId('search').blur()
  await page.getByTestId('incident-row').nth(before - 1).waitFor()
  return problems
}

const look = async (user, lang) => {
  const { page, context, complaints } = await logIn(browser, access.console, user.login, user.password, { lang })
  const role = `${user.role} ${lang}`
  check(role, 'board: axe', await axe(page))
  await layout(page, role, 'board')
  if (access.search !== undefined) check(role, 'search', await searchIsQuick(page))
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  const card = await page.getByTestId('card').waitFor(access.cards ? {} : { timeout: 2_000 }).then(() => true, () => false)
  if (card) {
    await page.getByTestId('journal-line').first().waitFor()
    await layout(page, role, 'card', { withAxe: true })
  } else if (access.cards) check(role, 'card', ['none opens'])
  // A page that was not given the processor may doubt for a moment; not for ever.
  check(role, 'data are current', await fresh(page).then(() => [], () => ['the stale banner stays up']))
  await page.reload()
  await fresh(page)
  check(role, 'nothing to complain of', complaints)
  await context.close()
}

try {
  const work = access.users.filter((u) => !u.simulated).flatMap((u) => (u.langs ?? ['ru', 'en']).map((lang) => [u, lang]))
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let next = work.shift(); next !== undefined; next = work.shift()) {
      const [user, lang] = next
      await look(user, lang).catch((e) => check(`${user.role} ${lang}`, 'to the end', [String(e)]))
    }
  }))
} finally {
  await browser.close()
}
process.stdout.write(`${done} checks, ${failed} failures\n`)
process.exit(failed || done === 0 ? 1 : 0)
