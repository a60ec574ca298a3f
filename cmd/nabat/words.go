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
	"config":      {"Файл настроек YAML.", "Configuration file, YAML."},
	"lang_help":   {"Язык сообщений: ru, en.", "Language of messages: ru, en."},
	"cmd_serve":   {"Запустить движок.", "Run the engine."},
	"cmd_migrate": {"Привести базу к схеме этой версии (то же делает serve при запуске).", "Bring the database to this version's schema (serve does so at its start)."},
	"cmd_doctor":  {"Проверить машину, базу, брокер, часы, диск и объяснить, что не так.", "Check machine, database, broker, clock, disk, and explain what is wrong."},
	"cmd_version": {"Показать версию.", "Show the version."},
}

func vocabulary(lang string) kong.Vars {
	vars := kong.Vars{}
	for key, p := range words {
		vars[key] = p.in(lang)
	}
	return vars
}
