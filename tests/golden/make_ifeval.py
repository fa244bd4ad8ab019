"""Instructions, responses and the verdicts of lm-eval's IFEval checks on them, strict and loose.

    pip install lm-eval==0.4.13 langdetect immutabledict nltk==3.10.4 llama-index-core
    python make_ifeval.py

NLTK's Punkt parameters come from the copy in the package llama-index-core. langdetect draws at random: a language verdict is
kept if five seeds agree. Writes `ifeval.jsonl`, one list a line: instruction, arguments, response, strict, loose.
"""

import importlib.util
import json
import random
from pathlib import Path

import nltk

cache = Path(importlib.util.find_spec("llama_index.core").submodule_search_locations[0]) / "_static/nltk_cache"
nltk.data.path.insert(0, str(cache))

import langdetect  # noqa: E402
from lm_eval.tasks.ifeval import instructions_registry, utils  # noqa: E402

HERE = Path(__file__).parent
PER_KIND = 100
rng = random.Random(20)

SENTENCES = [
    "The heart pumps blood through the body.", "Dr. Smith met J. Doe at 5 p.m. on Monday!", "Why not?", "It costs $3.50, i.e. very little.",
    "He said \"Stop.\" Then he left.", "She works for Acme Inc. in the U.S. and likes it.", "NASA and the EU can't AGREE on IT.", "Well... maybe.",
    "Visit www.example.com or mail a.b@c.org today", "No. 7 is the USA's best-known number (see fig. 2).", "I'M GONNA GO; YOU CANNOT!", "“Curly quotes,” he said.",
    "Fine", "Prof. Müller, Ph.D., arrived at 10:30 a.m. He was late.", "e.g. this, that etc. But what else?", "What?! Really?? Yes!!!", "3.14 is pi. 42 is not.",
    "My answer is yes.", "My answer is no.", "my answer is maybe.", "A. B. C.", "(This is bracketed.) This is not.", "Café naïve coöperate ÉTÉ", "the cat sat on the mat.",
]
EXTRAS = [
    "* one point", "*no space", "- a dash", "  - indented", "** two stars", "*highlighted text*", "**bold text**", "* *", "****", "***", "******", "[address]", "[a][b]", "[]",
    "<<A Title>>", "<< >>", "<<a\nb>>", "P.S. one more thing", "P.P.S see below", "p.s. small", "p. p. s. spaced", "Section 1", "SECTION 2", "Section  3: text", "PARAGRAPH 1",
    "{\"a\": 1}", "```json\n{\"a\": [1, 2]}\n```", "```\n[1, NaN]\n```", "{'a': 1}", "\"whole quote\"", "'", "\"", "x,y", "日本語の文です。", "Any other questions?", "Is there anything else I can help with?",
]
WORDS = ["heart", "the", "a", "He", "cat", "[a]", "no", "NASA", "café", "pi", "best-known", "i.e.", "yes", "42", "one", "mail", "Stop", "U.S."]
TEXTS = {
    "en": "The weather is fine today and we are going for a long walk in the woods with our friends.",
    "es": "Hoy hace buen tiempo y vamos a dar un largo paseo por el bosque con nuestros amigos.",
    "pt": "Hoje o tempo está bom e vamos dar um longo passeio pela floresta com os nossos amigos.",
    "ar": "الطقس جميل اليوم وسوف نذهب في نزهة طويلة في الغابة مع أصدقائنا.",
    "hi": "आज मौसम अच्छा है और हम अपने दोस्तों के साथ जंगल में लंबी सैर पर जा रहे हैं।",
    "fr": "Il fait beau aujourd'hui et nous allons faire une longue promenade dans la forêt avec nos amis.",
    "ru": "Сегодня хорошая погода, и мы идём на долгую прогулку в лес с нашими друзьями.",
    "de": "Das Wetter ist heute schön und wir machen mit unseren Freunden einen langen Spaziergang im Wald.",
    "ja": "今日は天気が良いので、友達と一緒に森の中を長い散歩に出かけます。",
    "it": "Oggi il tempo è bello e andiamo a fare una lunga passeggiata nel bosco con i nostri amici.",
    "bn": "আজ আবহাওয়া ভালো এবং আমরা আমাদের বন্ধুদের সাথে বনে লম্বা হাঁটতে যাচ্ছি।",
    "uk": "Сьогодні гарна погода, і ми йдемо на довгу прогулянку лісом з нашими друзями.",
    "th": "วันนี้อากาศดีและเราจะไปเดินเล่นในป่ากับเพื่อนของเรา",
    "ur": "آج موسم اچھا ہے اور ہم اپنے دوستوں کے ساتھ جنگل میں لمبی سیر پر جا رہے ہیں۔",
    "ta": "இன்று வானிலை நன்றாக உள்ளது, நாங்கள் எங்கள் நண்பர்களுடன் காட்டில் நீண்ட நடைப்பயணம் செல்கிறோம்.",
    "te": "ఈ రోజు వాతావరణం బాగుంది మరియు మేము మా స్నేహితులతో అడవిలో సుదీర్ఘ నడకకు వెళ్తున్నాము.",
    "bg": "Днес времето е хубаво и отиваме на дълга разходка в гората с нашите приятели.",
    "ko": "오늘은 날씨가 좋아서 우리는 친구들과 함께 숲에서 오래 산책을 할 것입니다.",
    "pl": "Dzisiaj jest ładna pogoda i idziemy z naszymi przyjaciółmi na długi spacer do lasu.",
    "he": "מזג האוויר יפה היום ואנחנו יוצאים לטיול ארוך ביער עם החברים שלנו.",
    "fa": "امروز هوا خوب است و ما با دوستانمان برای یک پیاده‌روی طولانی به جنگل می‌رویم.",
    "vi": "Hôm nay thời tiết đẹp và chúng tôi đi dạo một quãng dài trong rừng với bạn bè.",
    "ne": "आज मौसम राम्रो छ र हामी हाम्रा साथीहरूसँग जङ्गलमा लामो हिँडाइमा जाँदैछौं।",
    "gu": "આજે હવામાન સારું છે અને અમે અમારા મિત્રો સાથે જંગલમાં લાંબી ચાલવા જઈ રહ્યા છીએ.",
    "kn": "ಇಂದು ಹವಾಮಾನ ಚೆನ್ನಾಗಿದೆ ಮತ್ತು ನಾವು ನಮ್ಮ ಸ್ನೇಹಿತರೊಂದಿಗೆ ಕಾಡಿನಲ್ಲಿ ದೀರ್ಘ ನಡಿಗೆಗೆ ಹೋಗುತ್ತಿದ್ದೇವೆ.",
    "mr": "आज हवामान छान आहे आणि आम्ही आमच्या मित्रांसोबत जंगलात लांब फिरायला जात आहोत.",
    "pa": "ਅੱਜ ਮੌਸਮ ਚੰਗਾ ਹੈ ਅਤੇ ਅਸੀਂ ਆਪਣੇ ਦੋਸਤਾਂ ਨਾਲ ਜੰਗਲ ਵਿੱਚ ਲੰਬੀ ਸੈਰ ਲਈ ਜਾ ਰਹੇ ਹਾਂ।",
    "ml": "ഇന്ന് കാലാവസ്ഥ നല്ലതാണ്, ഞങ്ങൾ സുഹൃത്തുക്കളോടൊപ്പം കാട്ടിൽ നീണ്ട നടത്തത്തിന് പോകുന്നു.",
    "fi": "Tänään on kaunis sää ja lähdemme ystäviemme kanssa pitkälle kävelylle metsään.",
    "sw": "Leo hali ya hewa ni nzuri na tunaenda kutembea kwa muda mrefu msituni pamoja na marafiki zetu.",
}
PROMPT = "Tell me about the heart. Keep it short."
RELATION = ["at least", "less than"]


def noise(most=6):
    parts = [rng.choice(SENTENCES if rng.random() < 0.6 else EXTRAS) for _ in range(rng.randint(0, most))]
    text = "".join(p + rng.choice([" ", " ", "\n", "\n\n", "  "]) for p in parts)
    if rng.random() < 0.3:
        text = text.strip()
    return rng.choice(["", "", "", " ", "\n"]) + text


def divided(divider, blank=0.15):
    return divider.join("" if rng.random() < blank else rng.choice(SENTENCES) for _ in range(rng.randint(1, 5)))


def bound(name, most, relation="relation"):
    return {name: rng.randint(1, most), relation: rng.choice(RELATION)}


def cases(kind):
    pick = rng.random()
    if kind == "keywords:existence":
        return {"keywords": rng.sample(WORDS, rng.randint(1, 3))}, noise()
    if kind == "keywords:frequency":
        return {"keyword": rng.choice(WORDS), **bound("frequency", 3)}, noise()
    if kind == "keywords:forbidden_words":
        return {"forbidden_words": rng.sample([w for w in WORDS if "[" not in w], rng.randint(1, 3))}, noise(3)
    if kind == "keywords:letter_frequency":
        return {"letter": rng.choice("aeoszQE"), **bound("let_frequency", 12, "let_relation")}, noise(4)
    if kind == "language:response_language":
        own = rng.choice(list(TEXTS))
        other = own if pick < 0.6 else rng.choice(list(TEXTS))
        return {"language": own}, TEXTS[other] if pick < 0.9 else TEXTS[other] + "\n" + rng.choice(SENTENCES)
    if kind == "length_constraints:number_sentences":
        return bound("num_sentences", 8), noise()
    if kind == "length_constraints:number_paragraphs":
        return {"num_paragraphs": rng.randint(1, 4)}, divided(rng.choice(["***", "\n***\n", " *** ", "\n\n***\n\n"])) if pick < 0.8 else noise()
    if kind == "length_constraints:number_words":
        return bound("num_words", 40), noise() if pick < 0.7 else rng.choice(list(TEXTS.values()))
    if kind == "length_constraints:nth_paragraph_first_word":
        n = rng.randint(1, 4)
        first = rng.choice(["the", "why", "he", "dr", "nasa", "fine", "visit", "caf", "café"])
        response = divided("\n\n", 0.2).replace("The", rng.choice(["The", "'The", "\"The", "''\"The", "The,"]))
        return {"num_paragraphs": n, "nth_paragraph": rng.randint(1, n), "first_word": first}, response
    if kind == "detectable_content:number_placeholders":
        return {"num_placeholders": rng.randint(1, 3)}, noise()
    if kind == "detectable_content:postscript":
        return {"postscript_marker": rng.choice(["P.S.", "P.P.S", "P.S", "PS:"])}, noise()
    if kind == "detectable_format:number_bullet_lists":
        return {"num_bullets": rng.randint(1, 4)}, noise() if pick < 0.5 else "\n".join(rng.choice(EXTRAS[:9]) for _ in range(rng.randint(1, 5)))
    if kind == "detectable_format:constrained_response":
        return {}, noise()
    if kind == "detectable_format:number_highlighted_sections":
        return {"num_highlights": rng.randint(1, 4)}, " ".join(rng.choice(EXTRAS[:11] + SENTENCES[:3]) for _ in range(rng.randint(1, 6)))
    if kind == "detectable_format:multiple_sections":
        return {"section_spliter": rng.choice(["Section", "SECTION", "PARAGRAPH", " Section "]), "num_sections": rng.randint(1, 3)}, "\n".join(rng.choice(EXTRAS[21:25] + SENTENCES[:4]) for _ in range(rng.randint(1, 6)))
    if kind == "detectable_format:json_format":
        return {}, rng.choice(["", " ", "\n"]) + rng.choice(EXTRAS[25:29] + ["[1, 2", "null", "\"a\"", "12", "1.", "{\"a\": Infinity}", "```JSON\n{}```", "{\"a\": \"\\ud800\"}", "{\"a\": 1,}", "{\"a\": \"tab\there\"}",
                                                                             "{\"NaN\": \"NaN\"}", "-Infinity", "[01]", "```json```", "{\"a\": 1} extra", "{\"a\": 1, \"a\": 2}", "\ufeff{}", "tRue", "true"])
    if kind == "detectable_format:title":
        return {}, noise()
    if kind == "combination:two_responses":
        return {}, divided(rng.choice(["******", "\n******\n", "*******"])) if pick < 0.8 else "Same.******Same."
    if kind == "combination:repeat_prompt":
        return {"prompt_to_repeat": PROMPT}, rng.choice([PROMPT, PROMPT.upper(), " " + PROMPT, PROMPT[:-1], "\"" + PROMPT, "**" + PROMPT + "**", PROMPT.replace(" ", "  ")]) + rng.choice(["", "\n", " And more."])
    if kind == "startend:end_checker":
        return {"end_phrase": rng.choice(["Any other questions?", "Is there anything else I can help with?", " That is all. "])}, noise(3) + rng.choice(["", "Any other questions?", "any OTHER questions?\"", "That is all.", "That is all", "Is there anything else I can help with?**"]) + rng.choice(["", "\n", " "])
    if kind == "startend:quotation":
        return {}, rng.choice(["\"%s\"", "\"%s", "%s\"", "“%s”", " \"%s\"\n", "%s", "''%s''", "**\"%s\"**"]) % rng.choice(["", "a", SENTENCES[0], "a\nb", "\""])
    if kind == "change_case:capital_word_frequency":
        return bound("capital_frequency", 8, "capital_relation"), noise()
    if kind in ("change_case:english_capital", "change_case:english_lowercase"):
        text = " ".join(rng.choice([TEXTS["en"], *SENTENCES[:3], TEXTS["en"], TEXTS["de"], TEXTS["fr"], "12 34"]) for _ in range(rng.randint(1, 3)))
        return {}, rng.choice([str.upper, str.lower, str.upper, str.lower, str.title, str])(text)
    return {}, noise(4)


def verdicts(kind, arguments, response):
    document = utils.InputExample(key=0, instruction_id_list=[kind], prompt=PROMPT, kwargs=[arguments])
    strict = utils.test_instruction_following_strict(document, response).follow_instruction_list[0]
    loose = utils.test_instruction_following_loose(document, response).follow_instruction_list[0]
    return strict, loose


def main():
    lines = []
    for kind in sorted(k for k in instructions_registry.INSTRUCTION_DICT):
        if kind in ("keywords:key_sentences", "detectable_content:rephrase_paragraph", "startend:constrained_start"):
            continue
        seen = 0
        for _ in range(PER_KIND):
            arguments, response = cases(kind)
            found = set()
            for seed in range(5):
                langdetect.DetectorFactory.seed = seed
                found.add(verdicts(kind, arguments, response))
            if len(found) == 1:
                strict, loose = found.pop()
                lines.append(json.dumps([kind, arguments, response, strict, loose], ensure_ascii=False))
                seen += 1
        print(kind, seen)
    (HERE / "ifeval.jsonl").write_text("\n".join(lines) + "\n")
    print(len(lines))


main()
