package main

import (
	"github.com/alecthomas/kong"

	"nabat/cmd/nabat/config"
)

type phrase struct{ ru, en string }

func (p phrase) in(lang string) string {
	if lang == config.LangEnglish {
		return p.en
	}
	return p.ru
}

// words explain the commands; the keys of the configuration are explained in
// package config.
var words = map[string]phrase{
	"description": {
		"Набат: вызовы 112 и тревоги объектов — от провода до экстренной службы. Ключи можно задать и в файле (--config), и в окружении (NABAT_…).",
		"Nabat: 112 calls and facility alarms, from the wire to the emergency service. Every flag may stand in a file (--config) or the environment (NABAT_…), too.",
	},
	"config":              {"Файл настроек YAML.", "Configuration file, YAML."},
	"lang_help":           {"Язык сообщений: ru, en.", "Language of messages: ru, en."},
	"cmd_serve":           {"Запустить движок.", "Run the engine."},
	"cmd_migrate":         {"Привести базу к схеме этой версии (то же делает serve при запуске).", "Bring the database to this version's schema (serve does so at its start)."},
	"cmd_doctor":          {"Проверить машину, базу, брокер, часы, диск и объяснить, что не так.", "Check machine, database, broker, clock, disk, and explain what is wrong."},
	"cmd_token":           {"Жетоны доступа для программ.", "Access tokens for programs."},
	"cmd_token_create":    {"Создать жетон и показать его один раз.", "Create a token and show it once."},
	"cmd_token_revoke":    {"Отозвать жетон.", "Revoke a token."},
	"cmd_user":            {"Пользователи консолей.", "People at the consoles."},
	"cmd_user_add":        {"Добавить человека; пароль — строкой на стандартном вводе, иначе придумывается и печатается.", "Add a person; the password is a line on standard input, else one is made up and printed."},
	"cmd_user_passwd":     {"Сменить пароль и закончить сеансы человека.", "Change a password and end the person's sessions."},
	"cmd_audit":           {"Журнал: цепочка и подписи.", "The journal: chain and signatures."},
	"cmd_audit_verify":    {"Проверить весь журнал и назвать каждое нарушенное звено.", "Verify the whole journal and name every broken link."},
	"cmd_audit_seal":      {"Подписать голову журнала сейчас.", "Sign the journal's head now."},
	"cmd_facility":        {"Реестр объектов и приборов.", "The registry of facilities and panels."},
	"cmd_facility_import": {"Загрузить таблицы CSV: объекты, приборы или шлейфы, по заголовку; всё или ничего. Столбцы: facility_id,name,category,address,district,lat,lon,phone либо account,facility_id,protocol,heartbeat_s либо account,area,zone,kind,place.", "Import CSV tables: facilities, panels or zones, by the header; all or nothing. Columns: facility_id,name,category,address,district,lat,lon,phone or account,facility_id,protocol,heartbeat_s or account,area,zone,kind,place."},
	"cmd_facility_export": {"Выгрузить реестр в том виде, какой читает import.", "Export the registry as import reads it."},
	"flag_tables":         {"Файлы CSV, в порядке загрузки.", "CSV files, in the order of import."},
	"flag_dry":            {"Только проверить.", "Only check."},
	"flag_what":           {"facilities, accounts или zones.", "facilities, accounts or zones."},
	"flag_seal_new":       {"Начать подписи заново, когда прежние потеряны.", "Begin the signatures anew when the earlier ones are lost."},
	"cmd_rules":           {"Правила: кто выезжает на что.", "Rules: who goes to what."},
	"cmd_rules_check":     {"Проверить файл правил: ошибки со строкой и столбцом.", "Check a file of rules: mistakes with line and column."},
	"cmd_rules_publish":   {"Опубликовать правила под новым номером; движок берёт их за секунду-две.", "Publish rules under a new number; a running engine takes them in a second or two."},
	"cmd_rules_show":      {"Показать действующие правила.", "Show the rules in force."},
	"cmd_demo":            {"Движок с придуманным городом, людьми и службами.", "The engine with a made-up city, its people and services."},
	"flag_role":           {"operator, duty:<служба>, supervisor, admin, auditor.", "operator, duty:<service>, supervisor, admin, auditor."},
	"flag_token_name":     {"Имя жетона: им он подписан в журнале.", "The token's name: the journal signs with it."},
	"flag_token_new":      {"Имя жетона: им он подписан в журнале. Не задано — придумывается и печатается в поток ошибок.", "The token's name: the journal signs with it. Unset: one is made up and printed to standard error."},
	"flag_token_life":     {"Срок жизни, например 720h; 0 — бессрочно.", "How long it lives, e.g. 720h; 0: for ever."},
	"flag_login":          {"Имя для входа.", "Login."},
	"flag_person":         {"Как человека зовут.", "The person's name."},
	"flag_rules_file":     {"Файл правил YAML.", "File of rules, YAML."},
	"flag_speed":          {"Во сколько раз быстрее живёт город.", "How many times faster the city lives."},
	"cmd_version":         {"Показать версию.", "Show the version."},
}

func vocabulary(lang string) kong.Vars {
	vars := kong.Vars{}
	for key, p := range words {
		vars[key] = p.in(lang)
	}
	return vars
}
