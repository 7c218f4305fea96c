"""The words of the production example: lines, machines, codes of stops, and how shift leaders write."""

# The machines of each line.
LINES = {
    "L1": ("PR-110", "ST-112", "VP-118"),
    "L2": ("PR-210", "FR-214", "VP-218"),
    "L3": ("SG-310", "SG-311", "MT-317"),
    "L4": ("LS-410", "BG-415", "MT-417"),
    "L5": ("LK-510", "TR-513", "VP-518"),
}

# What a shift is called, by the factory's sign of it.
SHIFTS = {
    "de": {"F": ("Frühschicht", "Früh"), "S": ("Spätschicht", "Spät"), "N": ("Nachtschicht", "Nacht")},
    "nl": {
        "F": ("vroege dienst", "ochtenddienst"),
        "S": ("late dienst", "middagdienst"),
        "N": ("nachtdienst", "nacht"),
    },
    "en": {
        "F": ("early shift", "morning shift"),
        "S": ("late shift", "afternoon shift"),
        "N": ("night shift", "nights"),
    },
}

# The factory's codes of why a machine stood still, and how the cause is told.
CAUSES = {
    "W01": {
        "de": ("Werkzeugbruch", "Werkzeug gebrochen"),
        "nl": ("gereedschap gebroken", "gereedschapsbreuk"),
        "en": ("tool broke", "broken tool"),
    },
    "W02": {
        "de": ("Werkzeugwechsel", "Rüsten"),
        "nl": ("gereedschapswissel", "omstellen"),
        "en": ("tool change", "changeover"),
    },
    "M10": {
        "de": ("Material fehlte", "kein Material"),
        "nl": ("materiaal ontbrak", "geen materiaal"),
        "en": ("no material", "waiting for material"),
    },
    "M11": {
        "de": ("Material fehlerhaft", "schlechtes Material"),
        "nl": ("slecht materiaal", "materiaal afgekeurd"),
        "en": ("bad material", "material rejected"),
    },
    "E20": {
        "de": ("Sensor ausgefallen", "Lichtschranke defekt"),
        "nl": ("sensor defect", "lichtsluis kapot"),
        "en": ("sensor failed", "light barrier faulty"),
    },
    "E21": {
        "de": ("Stromausfall", "Sicherung raus"),
        "nl": ("stroomuitval", "zekering eruit"),
        "en": ("power cut", "fuse blown"),
    },
    "H30": {
        "de": ("Hydraulik undicht", "Ölverlust"),
        "nl": ("hydrauliek lek", "olielekkage"),
        "en": ("hydraulic leak", "losing oil"),
    },
    "P40": {
        "de": ("Personal fehlte", "Bediener krank"),
        "nl": ("personeel tekort", "operator ziek"),
        "en": ("short of staff", "operator ill"),
    },
}

DAY_FORMS = {
    "de": ("{d:02d}.{m:02d}.{y}", "{d}.{m}.{y}"),
    "nl": ("{d:02d}-{m:02d}-{y}", "{d}-{m}-{y}"),
    "en": ("{d:02d}/{m:02d}/{y}", "{y}-{m:02d}-{d:02d}"),
}

SENTENCES = {
    "de": {
        "opening": ("{shift} am {day}, Linie {Lnr}.", "Linie {Lnr}, {day}, {shift}.", "Bericht {Lnr} {shift} {day}:"),
        "order": ("Auftrag {AuftrNr} gefahren.", "Gelaufen ist Auftrag {AuftrNr}.", "FA {AuftrNr}."),
        "good": ("{good} Teile i.O.", "Gutteile: {good}.", "Wir haben {good} gute Teile gemacht."),
        "scrap": ("{AusschussTlg} Stück Ausschuss.", "Ausschuss {AusschussTlg}.", "{AusschussTlg} Teile n.i.O."),
        "no scrap": ("Kein Ausschuss.", "Ausschuss keiner."),
        "stop": (
            "{machine} stand {minutes} min, {cause}.",
            "{minutes} Minuten Stillstand {machine}: {cause}.",
            "An der {machine} {cause}, {minutes} min verloren.",
        ),
        "no stop": ("Keine Störungen.", "Lief ohne Störung durch."),
        "open": ("Für die nächste Schicht ist noch etwas offen.", "Bitte weitermachen, ist nicht fertig."),
        "done": ("Alles übergeben.", "Nichts offen."),
    },
    "nl": {
        "opening": ("{shift} {day}, lijn {Lnr}.", "Lijn {Lnr}, {day}, {shift}.", "Verslag {Lnr} {shift} {day}:"),
        "order": ("Order {AuftrNr} gedraaid.", "We draaiden order {AuftrNr}.", "Ord. {AuftrNr}."),
        "good": ("{good} goede stuks.", "Goed: {good}.", "We hebben {good} goede delen gemaakt."),
        "scrap": ("{AusschussTlg} stuks afval.", "Uitval {AusschussTlg}.", "{AusschussTlg} delen afgekeurd."),
        "no scrap": ("Geen uitval.", "Uitval nul."),
        "stop": (
            "{machine} stond {minutes} min stil, {cause}.",
            "{minutes} minuten stilstand {machine}: {cause}.",
            "Bij {machine} {cause}, {minutes} min kwijt.",
        ),
        "no stop": ("Geen storingen.", "Alles liep door."),
        "open": ("Voor de volgende ploeg staat nog iets open.", "Graag verder gaan, is niet klaar."),
        "done": ("Alles overgedragen.", "Niets open."),
    },
    "en": {
        "opening": ("{shift} {day}, line {Lnr}.", "Line {Lnr}, {day}, {shift}.", "Report {Lnr} {shift} {day}:"),
        "order": ("Ran order {AuftrNr}.", "Order {AuftrNr} was on.", "WO {AuftrNr}."),
        "good": ("{good} good parts.", "Good: {good}.", "We made {good} parts that are fine."),
        "scrap": ("{AusschussTlg} scrapped.", "Scrap {AusschussTlg}.", "{AusschussTlg} parts rejected."),
        "no scrap": ("No scrap.", "Scrap nil."),
        "stop": (
            "{machine} was down {minutes} min, {cause}.",
            "{minutes} minutes stop at {machine}: {cause}.",
            "At {machine} {cause}, lost {minutes} min.",
        ),
        "no stop": ("No stops.", "Ran through without a stop."),
        "open": ("Something is left for the next shift.", "Please carry on, it is not finished."),
        "done": ("All handed over.", "Nothing open."),
    },
}

# Words that carry what is to be found: a typing error never falls into one of them.
KEPT = (
    *(way for ways in SHIFTS.values() for names in ways.values() for way in names),
    *(way for ways in CAUSES.values() for names in ways.values() for way in names),
)
