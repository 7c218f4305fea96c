"""Words, suppliers and line kinds of the invented invoice lines.

Everything here is made up: no supplier, person, address or contract exists. The tables hold
what invoices say; ``generate.py`` holds how they are put together.
"""

from typing import NamedTuple

# --------------------------------------------------------------------------- accounts

FIXED = "0210 Fixed assets"
RESERVE = "0850 Maintenance reserve"
RECHARGE = "1390 Recharges"
MAINT = "4100 Maintenance"
SMALL = "4200 Small equipment"
ENERGY = "4310 Energy"
CLEAN = "4330 Cleaning and waste"
VVE = "4400 Owners association"
LEVIES = "4420 Levies and insurance"
OFFICE = "4510 Office and telecom"
REPRES = "4600 Representation"
CANTEEN = "4610 Canteen and staff"
MARKET = "4620 Marketing"
LEGAL = "4700 Legal and advice"

ACCOUNTS = (
    FIXED,
    RESERVE,
    RECHARGE,
    MAINT,
    SMALL,
    ENERGY,
    CLEAN,
    VVE,
    LEVIES,
    OFFICE,
    REPRES,
    CANTEEN,
    MARKET,
    LEGAL,
)

# Not an account: the 450 euro rule decides between FIXED and SMALL.
BY_AMOUNT = "by amount"
CAPITAL_LIMIT = 450

# The slips a bookkeeper makes: the account that is chosen by mistake instead of the right one.
SLIPS = {
    FIXED: (SMALL, MAINT, OFFICE),
    RESERVE: (MAINT, VVE),
    RECHARGE: (MAINT, ENERGY, CLEAN),
    MAINT: (RESERVE, CLEAN, FIXED, LEGAL),
    SMALL: (FIXED, OFFICE, CANTEEN),
    ENERGY: (LEVIES, MAINT, OFFICE),
    CLEAN: (MAINT, CANTEEN),
    VVE: (RESERVE, LEVIES),
    LEVIES: (VVE, LEGAL, ENERGY),
    OFFICE: (SMALL, MARKET),
    REPRES: (CANTEEN, MARKET),
    CANTEEN: (REPRES, OFFICE),
    MARKET: (OFFICE, LEGAL, REPRES),
    LEGAL: (MARKET, LEVIES, MAINT),
}

# --------------------------------------------------------------------------- slots


def listed(text: str) -> tuple[str, ...]:
    """The phrases of a block of text, with bars between them."""
    return tuple(phrase.strip() for phrase in " ".join(text.split()).split(" | ") if phrase.strip(" |"))


class Words(NamedTuple):
    """The same slot in three languages."""

    nl: tuple[str, ...]
    de: tuple[str, ...]
    en: tuple[str, ...]


# Parts of a building or an installation, by the trade that works on them.
PARTS = {
    "heat": Words(
        nl=listed("""
            cv-ketel | cv-installatie | radiatoren | expansievat | hydrofoor | boiler 2e verd. | warmtepomp |
            mechanische ventilatie | waterleiding | toilet entree | thermostaat | vloerverwarming | airco
        """),
        de=listed("""
            Heizungsanlage | Therme | Heizkörper | Umwälzpumpe | Lüftung Keller | Wasserleitung | Wärmepumpe |
            Warmwasserspeicher | Druckerhöhungsanlage | WC EG | Fußbodenheizung
        """),
        en=listed("""
            boiler | heating system | radiators | booster pump | heat pump | ventilation unit | water pipe |
            thermostat | air conditioning
        """),
    ),
    "electric": Words(
        nl=listed("""
            intercom | trappenhuisverlichting | groepenkast | noodverlichting | deuropener | rookmelders |
            brandmeldcentrale | buitenlampen | zonnepanelen | laadpaal | camera parkeergarage
        """),
        de=listed("""
            Sprechanlage | Treppenhausbeleuchtung | Zählerschrank | Notbeleuchtung | Rauchmelder | Türöffner |
            Brandmeldeanlage | Außenlampen | Ladesäule
        """),
        en=listed("""
            intercom | stairwell lighting | fuse board | emergency lighting | smoke detectors | door opener |
            fire panel | outdoor lights | charging point
        """),
    ),
    "roof": Words(
        nl=listed("""
            plat dak | dakpannen | dakgoot | dakkapel | lichtkoepel | loodslabben | hemelwaterafvoer |
            schoorsteen | dakbedekking | nokvorsten
        """),
        de=listed("""
            Flachdach | Dachrinne | Dachziegel | Dachfenster | Regenfallrohr | Schornstein | Dachabdichtung
        """),
        en=listed("""
            flat roof | gutter | roof tiles | skylight | downpipe | chimney | roof membrane
        """),
    ),
    "paint": Words(
        nl=listed("""
            kozijnen voorgevel | trappenhuis | boeidelen | houtrot kozijn | balkonhekken | plafond hal |
            buitendeuren | gevel | stucwerk | voegwerk
        """),
        de=listed("""
            Fensterrahmen | Treppenhaus | Fassade | Balkongeländer | Haustür | Kellerdecke | Putz
        """),
        en=listed("""
            window frames | stairwell | facade | balcony railings | front doors | ceiling hall
        """),
    ),
    "lift": Words(
        nl=listed("""
            lift | lift 2 | liftdeuren | goederenlift | liftcabine | noodoproep lift
        """),
        de=listed("""
            Aufzug | Aufzug 2 | Aufzugstür | Lastenaufzug | Aufzugskabine | Notruf Aufzug
        """),
        en=listed("""
            lift | lift doors | goods lift | lift cabin | lift 2
        """),
    ),
    "general": Words(
        nl=listed("""
            voordeur | slot bergingen | garagedeur | hang- en sluitwerk | tegelwerk badkamer | bestrating |
            hekwerk | tuin en groen | brievenbussen | binnendeur | keukenblok | rioolput
        """),
        de=listed("""
            Haustür | Schloss Keller | Garagentor | Fliesen Bad | Pflasterung | Zaun | Briefkästen |
            Gartenpflege | Einbauküche
        """),
        en=listed("""
            front door | garage door | locks storage rooms | bathroom tiles | paving | fence | letterboxes |
            kitchen unit
        """),
    ),
}

# Small components: replacing one is maintenance, whatever it costs.
BITS = {
    "heat": Words(
        nl=listed("""
            pakking | ventiel | circulatiepomp | sensor | printplaat | kraan | filter | onderdeel | ontluchter
        """),
        de=listed("""
            Dichtung | Ventil | Umwälzpumpe | Sensor | Platine | Filter | Thermostatkopf
        """),
        en=listed("""
            gasket | valve | pump | sensor | circuit board | filter
        """),
    ),
    "electric": Words(
        nl=listed("""
            relais | zekering | voeding | printplaat | lamp | sensor | bekabeling | drukknop | accu | armatuur
        """),
        de=listed("""
            Relais | Sicherung | Netzteil | Platine | Lampe | Akku | Taster | Kabel
        """),
        en=listed("""
            relay | fuse | power supply | lamp | battery | push button | cabling
        """),
    ),
    "roof": Words(
        nl=listed("""
            pannen | beugel | loodslab | randprofiel | kit en naden | onderdeel | afvoer
        """),
        de=listed("""
            Ziegel | Halter | Blech | Dichtung | Ablauf
        """),
        en=listed("""
            tiles | bracket | lead flashing | seal | outlet
        """),
    ),
    "paint": Words(
        nl=listed("""
            rubber | glaslat | beslag | onderdorpel | kit
        """),
        de=listed("""
            Dichtung | Glasleiste | Beschlag
        """),
        en=listed("""
            seal | glazing bead | fittings
        """),
    ),
    "lift": Words(
        nl=listed("""
            relais | drukknop | deurmotor | lager | lamp | noodstroomaccu | kabel
        """),
        de=listed("""
            Relais | Taster | Türmotor | Lager | Lampe
        """),
        en=listed("""
            relay | push button | door motor | bearing | lamp
        """),
    ),
    "general": Words(
        nl=listed("""
            scharnier | slotcilinder | veer | beugel | kit en voegen | onderdeel | beslag | klink
        """),
        de=listed("""
            Scharnier | Zylinder | Feder | Beschlag | Fugen | Griff
        """),
        en=listed("""
            hinge | cylinder | spring | fittings | handle | grouting
        """),
    ),
}

# What the energy saving project is about.
SAVINGS = Words(
    nl=listed("""
        ledverlichting trappenhuis | dakisolatie | HR++ glas | zonnepanelen | warmtepomp | leidingisolatie |
        bewegingsmelders | waterzijdig inregelen | spouwmuurisolatie | tochtstrips en drangers | omvormer
    """),
    de=listed("""
        LED-Beleuchtung Treppenhaus | Dachdämmung | Wärmepumpe | Rohrisolierung | Bewegungsmelder |
        Isolierglas | hydraulischer Abgleich | Wechselrichter
    """),
    en=listed("""
        LED lighting stairwell | roof insulation | heat pump | pipe insulation | motion sensors | solar panels
    """),
)

OUTSIDERS = Words(
    nl=listed("""
        huurder | relatie | nieuwe huurders | makelaar | Van Dorsten Makelaars | klant | opdrachtgever |
        de gemeente | aannemer | bank | bewonerscommissie | Berkhof Vastgoed
    """),
    de=listed("""
        Mieter | Geschäftspartner | Kunde | Makler | Fa. Tannhoff | Eigentümer Kleve | Investor
    """),
    en=listed("""
        client | tenant | broker | Harrow Lettings | investor | prospective tenants | contractor
    """),
)

INSIDERS = Words(
    nl=listed("""
        personeel | team | collega's | kantoor | teamoverleg | afscheid collega | overwerk |
        vergadering intern | verjaardag collega | BHV-cursus eigen mensen | stagiair
    """),
    de=listed("""
        Team | Mitarbeiter | Büro | Teamsitzung intern | Kollegen | Überstunden
    """),
    en=listed("""
        team | staff | office | internal meeting | colleagues | farewell colleague
    """),
)

LEGAL_DOCS = Words(
    nl=listed("""
        huurovereenkomst | huurcontract | splitsingsakte | dagvaarding | algemene voorwaarden | allonge |
        koopakte | sommatiebrief
    """),
    de=listed("""
        Mietvertrag | Teilungserklärung | Klageschrift | AGB | Kaufvertrag | Kündigungsschreiben
    """),
    en=listed("""
        lease contract | deed of division | summons | general terms | purchase deed | notice of termination
    """),
)

MARKET_DOCS = Words(
    nl=listed("""
        brochure | folder nieuwbouw | website teksten | flyer | verhuurpresentatie | nieuwsbrief | advertentie
        | bedrijfsfilm ondertitels
    """),
    de=listed("""
        Broschüre | Flyer | Webseitentexte | Exposé | Newsletter | Anzeige
    """),
    en=listed("""
        brochure | flyer | website copy | letting presentation | newsletter | advert
    """),
)

SLOTS = {
    "saving": SAVINGS,
    "outsider": OUTSIDERS,
    "insider": INSIDERS,
    "legaldoc": LEGAL_DOCS,
    "marketdoc": MARKET_DOCS,
}

OBJECTS = listed("""
    Kerkstraat 12 | Havenkade 3-17 | Havenkade 5 | obj. 1043 | obj 1051 | obj. 2210 | pand HK3 | pand K12 |
    Lindelaan 88 | Lindelaan 90 hs | Molenwal 4-6 | Blok C | blok A/B | Rheinufer 22 | Lindenallee 8 Kleve |
    WE 07 | Whg. 3 OG li | app. 14 | unit 2.06 | De Rietschans | compl. Rietschans | garage 31 | BOG 5 |
    Stationsplein 1 bg | Emmerich Kaßstr. 9x | kantoor Zutphen | Molenwal | object 1043/2
""")

# --------------------------------------------------------------------------- goods (450 euro rule)


class Item(NamedTuple):
    """A durable thing with a usual price range for one piece."""

    low: int
    high: int
    nl: str
    de: str
    en: str


GOODS = {
    "tools": (
        Item(60, 420, "accuboormachine", "Akkuschrauber", "cordless drill"),
        Item(180, 980, "bouwstofzuiger", "Industriesauger", "industrial vacuum"),
        Item(90, 700, "aluminium ladder", "Alu-Leiter", "aluminium ladder"),
        Item(240, 1500, "hogedrukreiniger", "Hochdruckreiniger", "pressure washer"),
        Item(40, 330, "gereedschapskoffer", "Werkzeugkoffer", "tool case"),
        Item(120, 650, "haakse slijper set", "Winkelschleifer-Set", "angle grinder set"),
        Item(300, 2400, "rolsteiger", "Rollgerüst", "mobile scaffold tower"),
        Item(55, 480, "multimeter", "Multimeter", "multimeter"),
        Item(160, 900, "bladblazer", "Laubbläser", "leaf blower"),
        Item(35, 260, "steekwagen", "Sackkarre", "hand truck"),
    ),
    "hardware": (
        Item(480, 1750, "laptop", "Notebook", "laptop"),
        Item(140, 620, "beeldscherm 27 inch", "Monitor 27 Zoll", "27 inch monitor"),
        Item(190, 1150, "smartphone", "Smartphone", "smartphone"),
        Item(90, 780, "laserprinter", "Laserdrucker", "laser printer"),
        Item(60, 320, "dockingstation", "Dockingstation", "docking station"),
        Item(45, 290, "headset", "Headset", "headset"),
        Item(250, 980, "tablet opname", "Tablet", "tablet"),
        Item(120, 890, "router", "Router", "router"),
        Item(350, 2600, "NAS server", "NAS-Server", "NAS server"),
        Item(20, 95, "telefoonhoesje en lader", "Ladegerät", "phone charger"),
    ),
    "furniture": (
        Item(150, 690, "bureaustoel", "Bürostuhl", "office chair"),
        Item(280, 1200, "zit-sta bureau", "Steh-Sitz-Schreibtisch", "sit-stand desk"),
        Item(120, 540, "archiefkast", "Aktenschrank", "filing cabinet"),
        Item(60, 380, "whiteboard", "Whiteboard", "whiteboard"),
        Item(300, 1900, "vergadertafel", "Besprechungstisch", "meeting table"),
        Item(35, 180, "bureaulamp", "Schreibtischlampe", "desk lamp"),
    ),
    "appliances": (
        Item(110, 1600, "koffiemachine", "Kaffeemaschine", "coffee machine"),
        Item(220, 780, "koelkast pantry", "Kühlschrank Teeküche", "fridge pantry"),
        Item(330, 850, "vaatwasser", "Geschirrspüler", "dishwasher"),
        Item(25, 110, "waterkoker", "Wasserkocher", "kettle"),
        Item(70, 290, "magnetron", "Mikrowelle", "microwave"),
        Item(80, 640, "stofzuiger", "Staubsauger", "vacuum cleaner"),
    ),
    "devices": (
        Item(190, 1400, "intercomset compleet", "Sprechanlage komplett neu", "complete intercom set"),
        Item(260, 2300, "nieuwe boiler 80 ltr", "neuer Warmwasserboiler 80 l", "new 80 l water heater"),
        Item(150, 1300, "losse airco", "mobiles Klimagerät", "mobile air conditioner"),
        Item(120, 860, "bouwdroger", "Bautrockner", "dehumidifier"),
        Item(90, 700, "beveiligingscamera nieuw", "Überwachungskamera neu", "new security camera"),
        Item(320, 2900, "luchtgordijn entree", "Luftschleier Eingang", "air curtain entrance"),
        Item(60, 520, "sleutelkluis", "Schlüsseltresor", "key safe"),
    ),
    "cleaning": (
        Item(280, 2200, "schrobmachine", "Scheuersaugmaschine", "scrubbing machine"),
        Item(60, 410, "zeepdispensers rvs", "Seifenspender Edelstahl", "steel soap dispensers"),
        Item(80, 560, "werkwagen schoonmaak", "Reinigungswagen", "cleaning trolley"),
        Item(75, 520, "buitenafvalbak", "Abfallbehälter außen", "outdoor waste bin"),
    ),
}

GOODS_TEMPLATES = Words(
    nl=listed("""
        {item} | {qty}x {item} | {qty} st. {item} | Aanschaf {item} | Levering {item} | {item} art. {art} |
        art.nr {art} {item} | {item} incl. vrkosten | {item} tbv {obj} | Leveren en plaatsen {item} |
        {item} ({obj}) | bestelling {ref} {item} | {item}, kleur zwart | {item} huismeester | Bezorgen {item}
    """),
    de=listed("""
        {item} | {qty} x {item} | {qty} Stk. {item} | Lieferung {item} | {item} Art.-Nr. {art} |
        Anschaffung {item} | {item} inkl. Versand | {item} für {obj} | Bestellung {ref} {item} |
        {item} liefern und montieren
    """),
    en=listed("""
        {item} | {qty}x {item} | Purchase {item} | Supply of {item} | {item} item no. {art} |
        {item} incl. shipping | order {ref} {item} | {item} for {obj} | supply and install {item} |
        {item} caretaker
    """),
)

# --------------------------------------------------------------------------- all other kinds of lines


class Kind(NamedTuple):
    """A kind of invoice line: its account, its range of amounts and its wordings."""

    account: str
    low: int
    high: int
    style: str  # "cents", "round" or "retail"
    words: Words


KINDS = {
    "repair": Kind(
        MAINT,
        48,
        1650,
        "cents",
        Words(
            nl=listed("""
            Reparatie {part} | Onderhoud {part} | Herstel {part} | Vervangen {bit} {part} |
            Storing {part} verholpen | Periodiek onderhoud {part} {period} | {part} nagekeken en afgesteld |
            Lekkage bij {part} | {part} gangbaar gemaakt | Arbeid en materiaal {part} |
            Voorrijkosten en arbeid {part} | Spoedreparatie {part} weekend | {bit} {part} vernieuwd |
            Onderhoudscontract {part} {period} | {part}: klacht bewoner opgelost | Jaarlijkse keuring {part} |
            Werkzaamheden aan {part} bon {art} | {qty} uur monteur {part} | {part} losgeraakt, vastgezet |
            inspectie en klein herstel {part}
        """),
            de=listed("""
            Wartung {part} | Reparatur {part} | Instandsetzung {part} | Austausch {bit} {part} |
            Störung {part} behoben | Wartungsvertrag {part} {period} | Notdienst {part} |
            Anfahrt und Arbeitszeit {part} | Material und Montage {part} | {bit} {part} erneuert |
            {part} geprüft und eingestellt | {qty} Std. Monteur {part} | Jahresprüfung {part}
        """),
            en=listed("""
            Repair {part} | Maintenance {part} | Replace {bit} {part} | Service visit {part} | Call-out {part}
            | Annual inspection {part} | Labour and materials {part} | Emergency repair {part} |
            Fault {part} resolved | Maintenance contract {part} {period} | {qty} hrs engineer {part}
        """),
        ),
    ),
    "callout": Kind(
        MAINT,
        22,
        260,
        "cents",
        Words(
            nl=listed("""
            Voorrijkosten | Arbeidsloon {qty} uur | Klein materiaal | Uurloon monteur | Spoedtoeslag avond |
            Voorrijkosten {obj} | Bevestigingsmateriaal en kit | Afvoer puin en oud materiaal na reparatie |
            manuren wk {week} | Steigerhuur reparatie
        """),
            de=listed("""
            Anfahrt | Arbeitszeit {qty} Std. | Kleinmaterial | Notdienstzuschlag | Fahrtkosten Monteur |
            Befestigungsmaterial | Monteurstunden KW {week}
        """),
            en=listed("""
            Call-out charge | Labour {qty} hrs | Sundry materials | Travel engineer | Out of hours surcharge
        """),
        ),
    ),
    "materials": Kind(
        MAINT,
        6,
        240,
        "retail",
        Words(
            nl=listed("""
            schroeven en pluggen | kit en pur | verf ral 9010 {qty} ltr | hout vuren 45x70 |
            slotcilinder bergingen | ledlamp e27 trappenhuis | wc-bril {obj} | kraan keuken {obj} | tegellijm
            | scharnieren set | deurklink {obj} | pvc buis en bochten | batterijen rookmelders |
            gipsplaat {qty} st | sleutels bijmaken
        """),
            de=listed("""
            Schrauben und Dübel | Farbe weiß {qty} l | Silikon | LED-Lampe Treppenhaus | Fliesenkleber |
            Türklinke | Batterien Rauchmelder | Ersatzschlüssel
        """),
            en=listed("""
            screws and plugs | paint white {qty} l | sealant | led bulbs stairwell | door handle {obj} |
            key cutting
        """),
        ),
    ),
    "outdoor": Kind(
        MAINT,
        85,
        900,
        "round",
        Words(
            nl=listed("""
            Reinigen dakgoten {obj} | Ontstoppen riool {obj} | Graffiti verwijderen gevel | Schoorsteen vegen
            | Dak schoonmaken en mos verwijderen | Gevelreiniging {obj} | Doorspuiten afvoer {obj} |
            Zonnepanelen wassen | Goten leeg + hwa doorspoelen | Kolken zuigen parkeerplaats |
            Ventilatiekanalen reinigen
        """),
            de=listed("""
            Dachrinnenreinigung {obj} | Rohrreinigung {obj} | Graffitientfernung Fassade | Schornsteinfeger |
            Fassadenreinigung | Abfluss verstopft {obj}
        """),
            en=listed("""
            Gutter cleaning {obj} | Unblock drain {obj} | Graffiti removal facade | Chimney sweep |
            Facade cleaning | Clean ventilation ducts
        """),
        ),
    ),
    "mjop": Kind(
        RESERVE,
        240,
        9800,
        "round",
        Words(
            nl=listed("""
            {part} volgens MJOP | MJOP {year} regel {qty}: {part} | Vervangen {part} cf MJOP |
            Groot onderhoud {part} (MJOP) | Schilderbeurt MJOP {year} {obj} | MJOP-werk {part} termijn {qty} |
            {part} vernieuwen, post MJOP | meerjarenonderhoud {part} {obj} | Directievoering MJOP-werk {part}
            | Reparatie {part} t.l.v. voorz. MJOP
        """),
            de=listed("""
            {part} laut MJOP | Erneuerung {part} (MJOP) | Großinstandsetzung {part} lt. MJOP |
            MJOP {year} {part} Abschlag {qty} | Mehrjahresplan {part} {obj}
        """),
            en=listed("""
            {part} as per MJOP | MJOP {year} item {qty} {part} | Renewal {part} (MJOP) |
            Major works {part} MJOP stage {qty}
        """),
        ),
    ),
    "ebp": Kind(
        FIXED,
        140,
        7800,
        "cents",
        Words(
            nl=listed("""
            EBP {saving} | {saving} t.b.v. EBP | Project energiebesparing {saving} | EBP {year}: {saving} |
            Verduurzaming {obj} {saving} | EBP termijn {qty} {saving} |
            monteren {saving} energiebesparingsproject | {saving} {obj} EBP meerwerk |
            arbeid {qty} dagen EBP {obj}
        """),
            de=listed("""
            EBP {saving} {obj} | Energiesparprojekt {saving} | {saving} EBP |
            Einbau {saving} Energiesparprojekt | EBP {obj} Montage {qty} Tage
        """),
            en=listed("""
            EBP {saving} | Energy saving project {saving} | {saving} EBP stage {qty} | labour EBP {obj}
        """),
        ),
    ),
    "vve": Kind(
        VVE,
        68,
        790,
        "cents",
        Words(
            nl=listed("""
            VVE contribution {period} | VvE bijdrage {period} | bijdrage VvE {obj} |
            Servicekosten VvE {period} | servicekstn VvE {obj} {period} | KSTN HV {period} | KSTN HV {obj} |
            Voorschot VvE {obj} | Maandbijdrage {obj} {period} | Aandeel opstalverzekering VvE {year} |
            Afrekening VvE servicekosten {year} | VVE contr. {obj} {period} | Beheerkosten VvE {obj} |
            VvE {obj} aandeel schoonmaak {period} | bijdr. onderh.fonds VvE {period} regulier |
            VvE stookkosten aandeel {obj} | VVE contribution garage {period}
        """),
            de=listed("""
            Hausgeld {period} | Hausgeld {obj} {period} | VVE contribution {obj} | Hausgeldabrechnung {year} |
            Verwaltergebühr WEG {obj} | Wohngeld WEG {period} | Erhaltungsrücklage regulär {period} |
            KSTN HV {obj} | Nachzahlung Hausgeld {year}
        """),
            en=listed("""
            VVE contribution {period} | Service charge owners' association {obj} | VVE contribution {obj} |
            Owners association fee {period} | KSTN HV {period}
        """),
        ),
    ),
    "levy": Kind(
        RESERVE,
        350,
        7400,
        "round",
        Words(
            nl=listed("""
            Extra bijdrage dak VvE | VvE extra bijdrage dak {obj} | Eenmalige bijdrage VvE gevelrenovatie |
            VvE bijdrage extra: lift {obj} | Extra VvE-bijdrage schilderwerk {year} |
            Bijzondere bijdrage VvE riolering | eenmalige storting VvE dakrenovatie {obj} |
            VVE contribution extra levy dak | extra bijdr. balkons VvE |
            VvE {obj} bijstorting reservefonds dak
        """),
            de=listed("""
            Sonderumlage Dach | Sonderumlage {obj} | Sonderumlage WEG Fassade {year} |
            WEG {obj} Sonderumlage Aufzug | Sonderumlage Heizung {qty}. Rate |
            einmalige Umlage Dachsanierung WEG
        """),
            en=listed("""
            Special levy roof owners' association | VVE contribution special levy roof |
            One-off levy lift {obj} | extraordinary contribution facade {obj}
        """),
        ),
    ),
    "energy": Kind(
        ENERGY,
        38,
        1900,
        "cents",
        Words(
            nl=listed("""
            Levering elektra {obj} {period} | Gas {obj} {period} | Termijnbedrag energie {period} |
            Jaarafrekening stroom {obj} | Netbeheer {obj} | Energiebelasting {period} |
            Stroom alg. ruimte {obj} | ODE en energiebelasting | ean ..{art} verbruik {period} |
            Correctie meterstand {obj} | Laadsessies laadpaal {obj} | Voorschot {obj} {period} gas+stroom
        """),
            de=listed("""
            Strom {obj} {period} | Abschlag Gas {period} | Jahresabrechnung Strom {year} | Netzentgelt |
            Stromsteuer {period} | Allgemeinstrom {obj} | Wasser {obj} {period} | Fernwärme {obj} |
            Heizkostenabrechnung {year} | Abschlag {period} Vertrag {art} Gas
        """),
            en=listed("""
            Electricity {obj} {period} | Gas supply {period} | Annual settlement electricity {year} |
            Communal electricity {obj} | EV charging sessions {period}
        """),
        ),
    ),
    "standing": Kind(
        ENERGY,
        6,
        95,
        "cents",
        Words(
            nl=listed("""
            Vastrecht gas {obj} | Meterhuur {obj} | Vaste leveringskosten | Vastrecht {period} |
            Meettarief {obj} | Netbeheer kleinverbruik {obj} | vaste lev.kosten stroom {period}
        """),
            de=listed("""
            Grundpreis Gas {obj} | Zählermiete {obj} | Grundpreis {period} | Messstellenbetrieb {obj}
        """),
            en=listed("""
            Standing charge {period} | Meter rent {obj} | Network charge {obj}
        """),
        ),
    ),
    "heatnet": Kind(
        ENERGY,
        55,
        1500,
        "cents",
        Words(
            nl=listed("""
            Voorschot stadswarmte {period} | Stookkosten alg. ruimten {period} |
            warmtekostenverdeling {year} {obj} | Warmte GJ {obj} {period} | Eindafrekening warmte {year}
        """),
            de=listed("""
            Fernwärme {obj} {period} | Heizkostenverteilung {year}
        """),
            en=listed("""
            District heating {obj} {period}
        """),
        ),
    ),
    "water": Kind(
        ENERGY,
        18,
        420,
        "cents",
        Words(
            nl=listed("""
            Water {obj} {period} | Jaarnota water {obj} | Belasting op leidingwater | Voorschot water {period}
            | verbruik m3 {obj} {period}
        """),
            de=listed("""
            Wasser {obj} {period}
        """),
            en=listed("""
            Water {obj} {period}
        """),
        ),
    ),
    "clean": Kind(
        CLEAN,
        42,
        980,
        "cents",
        Words(
            nl=listed("""
            Schoonmaak trappenhuis {obj} {period} | Schoonmaak kantoor {period} | Glasbewassing {obj} |
            Ramen wassen {obj} {period} | Schoonmaakonderhoud {obj} | Periodiek vloeronderhoud {obj} |
            Eindschoonmaak {obj} | Extra poetsbeurt {obj} | Vuilcontainers reinigen |
            Trappenhuis dweilen {period} | opleveringsschoonmaak {obj} | Glas binnenzijde kantoor |
            {qty} uur schoonmaakster | liftcabine en hal schoonhouden {period}
        """),
            de=listed("""
            Treppenhausreinigung {period} | Fensterreinigung {obj} | Unterhaltsreinigung Büro {period} |
            Endreinigung {obj} | Sperrmüll {obj} | Containermiete {period} | Grundreinigung {obj} |
            Tonnendienst {period}
        """),
            en=listed("""
            Cleaning stairwell {period} | Window cleaning {obj} | Office cleaning {period} |
            End of tenancy clean {obj} | Bulky waste removal | Container hire {period}
        """),
        ),
    ),
    "waste": Kind(
        CLEAN,
        28,
        640,
        "cents",
        Words(
            nl=listed("""
            Huur rolcontainer {period} | Lediging container papier | Afvoer grofvuil {obj} |
            Afvalcontainer 6m3 {obj} | Lediging restafval {qty}x {period} | Stortkosten grofvuil |
            Wisselen container {obj} | gft container {period} | Ondergrondse container pasjes
        """),
            de=listed("""
            Containermiete {period} | Sperrmüll {obj}
        """),
            en=listed("""
            Container hire {period} | Bulky waste removal
        """),
        ),
    ),
    "clean_products": Kind(
        CLEAN,
        3,
        64,
        "retail",
        Words(
            nl=listed("""
            schoonmaakmiddel {qty} fl | vuilniszakken | toiletpapier kantoor | handzeep navulling |
            allesreiniger citroen | dweil en emmer | papieren handdoekjes {qty} ds | wc-reiniger |
            microvezeldoekjes
        """),
            de=listed("""
            Allzweckreiniger | Müllbeutel | Toilettenpapier | Handseife | Papierhandtücher {qty} Pk.
        """),
            en=listed("""
            bin bags | toilet rolls | hand soap refill | all-purpose cleaner | paper towels {qty} pk
        """),
        ),
    ),
    "levies": Kind(
        LEVIES,
        34,
        2600,
        "cents",
        Words(
            nl=listed("""
            OG-bel {year} {obj} | OG-bel eigenaar {obj} | Rioolheffing {year} | Afvalstoffenheffing {obj} |
            OZB {year} {obj} | aanslag OG-bel niet-woningen | Leges omgevingsvergunning {obj} |
            Precario steiger {obj} | Reclamebelasting {year} | Leges gebruiksvergunning |
            Aanslag {art} gem. heffingen | OG-bel gebruiker {obj}
        """),
            de=listed("""
            Grundsteuer {obj} {year} | Grundsteuer B {period} | Abfallgebühren {obj} |
            Niederschlagswassergebühr {year} | Straßenreinigungsgebühr {obj} | Gebühr Sondernutzung Gerüst |
            OG-bel {obj} {year}
        """),
            en=listed("""
            Property tax {obj} {year} | Sewerage levy {year} | Permit fee {obj}
        """),
        ),
    ),
    "waterlevy": Kind(
        LEVIES,
        45,
        900,
        "cents",
        Words(
            nl=listed("""
            Watersysteemheffing gebouwd {year} | zuiveringsheffing {obj} | Verontreinigingsheffing {obj} |
            aanslag {art} waterschapsbelasting | Watersysteemheffing {obj} | Wegenheffing {year}
        """),
            de=listed("""
            Wasserverbandsbeitrag {obj}
        """),
            en=listed("""
            Water board levy {obj}
        """),
        ),
    ),
    "insurance": Kind(
        LEVIES,
        58,
        3100,
        "cents",
        Words(
            nl=listed("""
            Premie opstalverzekering {obj} | Opstal polis {art} {period} |
            Aansprakelijkheidsverz. bedrijven {year} | Eigen risico waterschade {obj} | Premie glasverzekering
            | Inventarisverzekering kantoor {period} | Assurantiebelasting | premie rechtsbijstand {year} |
            polis {art} kwartaalpremie
        """),
            de=listed("""
            Gebäudeversicherung {obj} {year} | Haftpflicht {year} | Selbstbeteiligung Wasserschaden |
            Versicherungssteuer | Prämie Glasbruch {obj}
        """),
            en=listed("""
            Building insurance {obj} | Liability premium {year} | Policy {art} premium |
            Deductible water damage
        """),
        ),
    ),
    "telecom": Kind(
        OFFICE,
        8,
        190,
        "cents",
        Words(
            nl=listed("""
            Abonnement mobiel {period} | Belkosten {period} | Internet kantoor {period} |
            Zakelijk glasvezel {period} | simkaart alarmlijn lift {obj} | Sim only {qty}x {period} |
            Data roaming Duitsland | Vaste telefonie {period} | nummerbehoud en aansluitkosten |
            Abo laptop-databundel | Liftlijn {obj} {period} | Voip toestelhuur {period} |
            smartphone abonnement toestelkrediet {period}
        """),
            de=listed("""
            Mobilfunkvertrag {period} | Verbindungskosten {period} | Internetanschluss {period} |
            SIM-Karte Aufzugsnotruf | Grundgebühr Telefon {period}
        """),
            en=listed("""
            Mobile plan {period} | Call charges {period} | Internet line office | SIM lift alarm {obj} |
            Line rental {period}
        """),
        ),
    ),
    "liftline": Kind(
        OFFICE,
        9,
        95,
        "cents",
        Words(
            nl=listed("""
            Liftlijn {obj} {period} | simkaart noodoproep lift {obj} |
            abonnement spreek-luisterverbinding {period} | datakosten alarmlijn lift {period}
        """),
            de=listed("""
            SIM-Karte Aufzugsnotruf
        """),
            en=listed("""
            SIM lift alarm {obj}
        """),
        ),
    ),
    "it": Kind(
        OFFICE,
        9,
        620,
        "cents",
        Words(
            nl=listed("""
            Hosting website {period} | Domeinnaam verlenging | Licentie boekhoudpakket {period} |
            Softwarelicentie {qty} gebruikers | Back-up dienst {period} | SSL certificaat |
            Werkplekbeheer {period} | Helpdesk {qty} strippen | Huur printer per maand {period} |
            e-mailboxen {qty} st {period} | Migratie laptops uren
        """),
            de=listed("""
            Webhosting {period} | Softwarelizenz {qty} Nutzer | Domain {year} | Fernwartung PC {period} |
            Cloud-Backup {period}
        """),
            en=listed("""
            Web hosting {period} | Software licence {qty} seats | Domain renewal | IT support {period} |
            Cloud backup {period} | Licence property management software
        """),
        ),
    ),
    "supplies": Kind(
        OFFICE,
        4,
        190,
        "retail",
        Words(
            nl=listed("""
            toner {art} zwart | kopieerpapier A4 {qty} pak | ordners en tabbladen | enveloppen vensters |
            postzegels {qty} vel | printerinkt kleur | pennen en notitieblokken | labels sleutelkast |
            aangetekend versturen
        """),
            de=listed("""
            Toner {art} | Kopierpapier A4 {qty} Pk. | Ordner | Briefmarken | Druckerpatronen
        """),
            en=listed("""
            toner {art} | copy paper A4 | binders | stamps | ink cartridges
        """),
        ),
    ),
    "client_food": Kind(
        REPRES,
        24,
        380,
        "cents",
        Words(
            nl=listed("""
            Lunch met {outsider} | Diner {outsider} {qty} pers. | Broodjes bespreking {outsider} |
            Borrel {outsider} | koffie en gebak bezoek {outsider} | lunch {outsider} {obj} |
            {qty} x lunch ({outsider}) | hapjes tekenen contract {outsider} | tafel {qty} / {outsider}
        """),
            de=listed("""
            Mittagessen mit {outsider} | Bewirtung {outsider} | Abendessen {outsider} {qty} Pers. |
            Getränke Besuch {outsider}
        """),
            en=listed("""
            Lunch with {outsider} | Dinner {outsider} | Drinks {outsider} | coffee meeting {outsider}
        """),
        ),
    ),
    "client_gift": Kind(
        REPRES,
        9,
        290,
        "retail",
        Words(
            nl=listed("""
            boeket {outsider} | cadeaubon {outsider} | Kerstpakket {outsider} | fles wijn {outsider} |
            bloemen sleuteloverdracht {outsider} | chocolade {outsider} kerst | attentie {outsider} |
            fruitmand {outsider} | relatiegeschenk {qty} st
        """),
            de=listed("""
            Blumenstrauß {outsider} | Präsentkorb {outsider} | Weinflasche {outsider} | Gutschein {outsider}
        """),
            en=listed("""
            flowers {outsider} | gift card {outsider} | wine {outsider} | hamper {outsider}
        """),
        ),
    ),
    "staff_food": Kind(
        CANTEEN,
        21,
        310,
        "cents",
        Words(
            nl=listed("""
            Lunch {insider} | Diner {insider} {qty} pers. | Broodjes {insider} | Borrel {insider} |
            koffie en gebak {insider} | Lunch {qty} pers. | pizza's {insider} | bittergarnituur {insider} |
            {qty} x dagschotel | tafel {qty} {insider}
        """),
            de=listed("""
            Mittagessen {insider} | Abendessen {insider} {qty} Pers. | Belegte Brötchen {insider} |
            {qty} Tagesgerichte | Kuchen {insider}
        """),
            en=listed("""
            Lunch {insider} | Sandwiches {insider} | Pizza {insider} | Dinner {insider} | {qty}x lunch menu
        """),
        ),
    ),
    "staff_gift": Kind(
        CANTEEN,
        9,
        260,
        "retail",
        Words(
            nl=listed("""
            boeket {insider} | Kerstpakket {insider} | cadeaubon {insider} | fruitmand {insider} |
            kraamcadeau {insider} | bloemen balie | taart {insider} | attentie {insider}
        """),
            de=listed("""
            Blumenstrauß {insider} | Gutschein {insider} | Geschenk {insider}
        """),
            en=listed("""
            flowers {insider} | gift card {insider} | hamper {insider} | flowers reception
        """),
        ),
    ),
    "groceries": Kind(
        CANTEEN,
        3,
        145,
        "retail",
        Words(
            nl=listed("""
            koffiebonen {qty} kg | melk en suiker | thee en koekjes | frisdrank {qty} krat | fruit kantoor |
            ontkalker koffiemachine | brood en beleg | boodschappen | koffiebekers {qty} rol |
            soep en crackers
        """),
            de=listed("""
            Kaffeebohnen {qty} kg | Milch und Zucker | Mineralwasser {qty} Kisten | Kekse | Obstkorb Büro
        """),
            en=listed("""
            coffee beans {qty} kg | milk and sugar | soft drinks | biscuits | fruit office
        """),
        ),
    ),
    "marketing": Kind(
        MARKET,
        24,
        1650,
        "cents",
        Words(
            nl=listed("""
            Ontwerp {marketdoc} | Advertentie {obj} te huur | Foto's {obj} tbv verhuur |
            SEO en campagne {period} | Vermelding huursite {period} | Opmaak {marketdoc} |
            Redactie {marketdoc} | Posts sociale media {period} | Aanpassen website tekst en foto |
            banners campagne {obj} | Fotografie {marketdoc}
        """),
            de=listed("""
            Gestaltung {marketdoc} | Anzeige Vermietung {obj} | Fotos {obj} Vermietung | Texte {marketdoc} |
            Kampagne {period}
        """),
            en=listed("""
            Design {marketdoc} | Listing {obj} {period} | Photos {obj} for letting | Ad campaign {period} |
            Floor plan drawing {obj} for listing | Copywriting {marketdoc}
        """),
        ),
    ),
    "print_market": Kind(
        MARKET,
        35,
        1250,
        "cents",
        Words(
            nl=listed("""
            Drukwerk {marketdoc} {qty}00 st | {qty}00 x {marketdoc} A5 | Spandoek te huur {obj} |
            Raamstickers logo {obj} | vlaggen en stand beurs | herdruk {marketdoc} |
            Drukwerk {ref} {marketdoc}
        """),
            de=listed("""
            Druck {marketdoc} {qty}00 Stk. | Banner zu vermieten {obj} | Messestand
        """),
            en=listed("""
            Printing {marketdoc} {qty}00 | Banner to let {obj}
        """),
        ),
    ),
    "translate_market": Kind(
        MARKET,
        55,
        780,
        "cents",
        Words(
            nl=listed("""
            Vertaling {marketdoc} NL-DE | vertaling NL-EN {marketdoc} {qty}00 woorden |
            Revisie vertaling {marketdoc} | Vertaalwerk {ref} {marketdoc} | Spoedvertaling {marketdoc}
        """),
            de=listed("""
            Übersetzung {marketdoc} DE-NL | Lektorat {marketdoc} | Eilübersetzung {marketdoc}
        """),
            en=listed("""
            Translation {marketdoc} EN-NL | Proofreading {marketdoc}
        """),
        ),
    ),
    "openhouse": Kind(
        MARKET,
        28,
        460,
        "cents",
        Words(
            nl=listed("""
            Bloemen open huis {obj} | Catering open huis {obj} | hapjes open dag {obj} | boeketten stand beurs
            | koffie en broodjes open huis {obj}
        """),
            de=listed("""
            Häppchen Tag der offenen Tür {obj} | Getränke Messestand
        """),
            en=listed("""
            Open day catering {obj} | drinks open house {obj}
        """),
        ),
    ),
    "legal": Kind(
        LEGAL,
        28,
        2300,
        "cents",
        Words(
            nl=listed("""
            Opstellen {legaldoc} | Advies {legaldoc} {obj} | Juridisch advies huurachterstand {obj} |
            Griffierecht zaak {art} | Deurwaarderskosten {obj} | Uittreksel Kadaster {obj} |
            Legalisatie handtekening | Controle {legaldoc} {qty} uur | beoordelen {legaldoc} {obj} |
            Bespreking geschil lekkage {obj} | telefonisch overleg inz. huurder {obj} |
            Procedure VvE-besluit dak {obj}
        """),
            de=listed("""
            Beratung {legaldoc} | Entwurf {legaldoc} | Gerichtskosten {obj} | Grundbuchauszug {obj} |
            Prüfung {legaldoc} {qty} Std.
        """),
            en=listed("""
            Advice {legaldoc} | Review {legaldoc} {qty} hrs | Court fee {art} | Drafting {legaldoc}
        """),
        ),
    ),
    "translate_legal": Kind(
        LEGAL,
        60,
        860,
        "cents",
        Words(
            nl=listed("""
            Vertaling {legaldoc} NL-DE | Beëdigde vertaling {legaldoc} |
            vertaling NL-EN {legaldoc} {qty}00 woorden | Revisie vertaling {legaldoc} |
            Vertaalwerk {ref} {legaldoc} | Spoedvertaling {legaldoc}
        """),
            de=listed("""
            Übersetzung {legaldoc} DE-NL | Beglaubigte Übersetzung {legaldoc} | Lektorat {legaldoc}
        """),
            en=listed("""
            Translation {legaldoc} EN-NL | Sworn translation {legaldoc}
        """),
        ),
    ),
    "print_legal": Kind(
        LEGAL,
        30,
        340,
        "cents",
        Words(
            nl=listed("""
            Drukwerk {legaldoc} {qty}0 st | Drukwerk {ref} {legaldoc} | inbinden {legaldoc} {qty} ex. |
            herdruk {legaldoc}
        """),
            de=listed("""
            Druck {legaldoc} {qty}0 Stk.
        """),
            en=listed("""
            Printing {legaldoc} {qty}0
        """),
        ),
    ),
    "appraisal": Kind(
        LEGAL,
        90,
        900,
        "round",
        Words(
            nl=listed("""
            Taxatie {obj} | advies verzekerde waarde {obj} | Schaderapport expertise {obj} |
            Second opinion polis {obj}
        """),
            de=listed("""
            Wertgutachten {obj} | Beratung Versicherungswert {obj}
        """),
            en=listed("""
            Valuation {obj} | Inventory report {obj} incl. photos | Check-out report {obj} photos
        """),
        ),
    ),
    "survey": Kind(
        LEGAL,
        120,
        2100,
        "round",
        Words(
            nl=listed("""
            Opstellen MJOP {obj} | Actualiseren MJOP {year} {obj} | Energielabel {obj} |
            Bouwkundige opname {obj} incl. foto's | Advies isolatie {obj} | Asbestinventarisatie {obj} |
            Rapport MJOP {obj} | NEN 2767 meting {obj} | Constructieadvies balkons | Energieadvies {obj}
        """),
            de=listed("""
            Gutachten {obj} | Energieausweis {obj} | Erstellung MJOP-Bericht {obj} | Beratung Dämmung {obj} |
            Fotos Schadensaufnahme {obj}
        """),
            en=listed("""
            Building survey {obj} | Energy certificate {obj} | Drafting MJOP report {obj} | Valuation {obj}
        """),
        ),
    ),
}

# Lines that say nothing about their subject: the supplier's usual account decides.
VAGUE = Words(
    nl=listed("""
        Termijn {qty} cf. offerte {ref} | Werkzaamheden week {week} | Contract {period} | Maandbedrag {period}
        | Volgens afspraak {obj} | Meerwerk {obj} | Opdracht {ref} | Conform offerte {ref} |
        Abonnement {period} | Diversen {period} | Onze werkzaamheden {period} | Nota {period} {obj} |
        Jaarcontract {year}
    """),
    de=listed("""
        Abschlag {qty} lt. Angebot {ref} | Leistungen KW {week} | Vertrag {period} | Laut Vereinbarung {obj} |
        Auftrag {ref} | Pauschale {period} | Zusatzleistung {obj}
    """),
    en=listed("""
        Stage {qty} as per quote {ref} | Services week {week} | Contract {period} | As agreed {obj} |
        Order {ref} | Monthly fee {period} | Extra work {obj}
    """),
)

# --------------------------------------------------------------------------- markers and notes

RECHARGE_MARKS = Words(
    nl=listed("""
        doorbelasten | door te belasten huurder | doorbel. {obj} | DB huurder | doorbelasting |
        tlv huurder, doorberekenen | doorbelasten aan koper
    """),
    de=listed("""
        weiterberechnen | weiterzuberechnen an Mieter | Weiterberechnung | Weiterber. {obj}
    """),
    en=listed("""
        recharge to tenant | to be recharged | recharge {obj} | rebill tenant
    """),
)

NO_RECHARGE_MARKS = Words(
    nl=listed("""
        niet doorbelasten | niet DB | kan niet doorbelast
    """),
    de=listed("""
        nicht weiterberechnen | keine Weiterberechnung
    """),
    en=listed("""
        not to be recharged | do not recharge
    """),
)

CREDIT_MARKS = Words(
    nl=listed("""
        Credit | Creditnota | Retour | corr.
    """),
    de=listed("""
        Gutschrift | Storno
    """),
    en=listed("""
        Credit | Refund
    """),
)

RECHARGEABLE = (
    "repair",
    "callout",
    "materials",
    "outdoor",
    "energy",
    "standing",
    "heatnet",
    "water",
    "clean",
    "waste",
    "vve",
    "legal",
    "telecom",
    "devices",
    "levies",
    "survey",
    "appliances",
    "translate_legal",
    "insurance",
)


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of a long and a short form."""
    return tuple((long, short) for long, short in (phrase.split(" > ") for phrase in listed(text)))


# A long form with a capital is shortened only where a word begins, the others also inside a word.
ABBREVIATIONS = {
    "nl": pairs("""
        Periodiek onderhoud > per. ond. | Onderhoud > ond. | Reparatie > Rep. | Schoonmaak > Schoonm. |
        Werkzaamheden > werkz. | Abonnement > abo | Vervangen > verv. | trappenhuis > traph. |
        Voorrijkosten > vrkosten | verlichting > verl. | Vertaling > vert. | Drukwerk > drukw. | maand > mnd
        | Servicekosten > serv.kstn | Levering > lev. | kantoor > knt. | volgens > vlg. | personeel > pers.
        | huurovereenkomst > huurovk. | Premie > prem. | installatie > inst. | verzekering > verz. |
        en materiaal > + mat. | bijdrage > bijdr. | Voorschot > vrsch.
    """),
    "de": pairs("""
        Wartung > Wartg. | Reparatur > Rep. | Instandsetzung > Inst. | Reinigung > Rein. | reinigung > rein.
        | Lieferung > Lief. | Versicherung > Vers. | Treppenhaus > Trph. | Übersetzung > Übers. |
        Abrechnung > Abr. | abrechnung > abr. | Mitarbeiter > MA | Heizung > Hzg. | Straße > Str. |
        Beleuchtung > Bel. | Anlage > Anl.
    """),
    "en": pairs("""
        Maintenance > Maint. | Repair > rep. | Replace > repl. | Cleaning > clng | Translation > transl. |
        Installation > inst. | Electricity > elec. | Insurance > ins. | contract > contr. | Service > svc |
        Labour > lab. | materials > mat. | Purchase > purch.
    """),
}

REFERENCES = {
    "nl": ("WO-", "ref ", "bon ", "opdr. ", "#"),
    "de": ("Auftr. ", "Ref. ", "Nr. ", "#"),
    "en": ("WO-", "ref ", "job ", "#"),
}

MONTHS = {
    "nl": ("jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"),
    "de": ("Jan.", "Feb.", "März", "April", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}

# --------------------------------------------------------------------------- suppliers


class Supplier(NamedTuple):
    """Who sends invoices: spellings of the name, language, trade, share, usual account, what they bill."""

    names: tuple[str, ...]
    lang: str
    trade: str
    weight: int
    number: str  # pattern of the invoice numbers
    usual: str  # account of lines that say nothing about their subject; "" if such lines never occur
    kinds: dict[str, int]


# Names (spellings divided by slashes) | language | trade | share of the invoices | pattern of the invoice
# numbers | account of lines that say nothing about their subject ("-": there are none); then the kinds of
# lines with their shares.
SUPPLIER_TABLE = """
Wessels & Brink Installatie BV / Wessels&Brink inst. | nl | heat | 34 | {y}{n:04d} | 4100
    repair 9, callout 3, devices 3, mjop 2, ebp 2, vague 1
Elektro Toonder | nl | electric | 28 | F{n:05d} | 4100
    repair 8, callout 3, devices 4, ebp 4, mjop 1, vague 1, tools 1
Dakdekkersbedrijf Roelfzema / Roelfzema dakwerken | nl | roof | 16 | {y}-{n:03d} | 4100
    repair 6, outdoor 4, mjop 5, callout 1, ebp 1, vague 1
Schildersbedrijf Van Eekelen | nl | paint | 14 | {n:05d} | 0850
    repair 4, mjop 6, vague 2, outdoor 1
Noordlift Service B.V. | nl | lift | 14 | NL{n:06d} | 4100
    repair 8, mjop 2, vague 2, liftline 2, callout 1
Klussenbedrijf De Handige Hoek / De Handige Hoek | nl | general | 30 | {y}.{n:03d} | 4100
    repair 9, callout 3, materials 2, clean 2, devices 1, mjop 1, vague 1
Haustechnik Terbeck GmbH | de | heat | 26 | RE-{n:05d} | 4100
    repair 9, callout 3, devices 2, mjop 2, ebp 1, vague 1
Elektro Quadflieg OHG | de | electric | 16 | {y}/{n:04d} | 4100
    repair 7, callout 2, devices 3, ebp 3, mjop 1, vague 1
Bedachungen Holtwick | de | roof | 9 | R{n:04d} | 0850
    repair 4, outdoor 3, mjop 4, vague 1
Alderwick Building Services Ltd | en | general | 20 | INV-{n:05d} | 4100
    repair 9, callout 3, devices 2, mjop 2, ebp 1, vague 1
SolarKade Energiesystemen | nl | electric | 12 | SK{n:05d} | 0210
    ebp 6, repair 3, outdoor 1, vague 1, survey 1
VvE Havenkade | nl | roof | 34 | {y}{n:03d} | 4400
    vve 9, levy 2, vague 1
VvE De Rietschans / VVE Rietschans | nl | roof | 30 | RS-{n:04d} | 4400
    vve 9, levy 2, vague 1
Molenwal VvE-beheer | nl | general | 22 | MB{n:05d} | 4400
    vve 8, levy 2, legal 1, repair 1, survey 1, vague 1
Hausverwaltung Lindenallee | de | roof | 24 | HV{n:04d} | -
    vve 8, levy 3, repair 1, clean 1
Quayside Block Management | en | roof | 14 | QB-{n:04d} | -
    vve 7, levy 2, clean 1
Polderlicht Energie / Polderlicht Energie NV | nl | heat | 52 | {n:09d} | 4310
    energy 10, standing 3, vague 1
Warmtenet Zuidwaard | nl | heat | 20 | WZ{n:06d} | 4310
    heatnet 7, standing 1, repair 1, devices 1, vague 1
Stadtwerke Niederau | de | heat | 24 | {n:08d} | 4310
    energy 8, standing 2, vague 1, repair 1
Waterbedrijf Oosterlek | nl | heat | 12 | {n:07d} | -
    water 6, standing 1, repair 1
Calder Grid & Charge | en | electric | 14 | CG{n:05d} | 4310
    energy 6, standing 1, devices 1, repair 2, vague 1
Blinkend Schoon Facilitair / Blinkend Schoon | nl | general | 36 | BS{n:05d} | 4330
    clean 10, outdoor 3, clean_products 2, cleaning 2, vague 1
Gebäudereinigung Pohlkamp | de | general | 20 | P-{n:04d} | 4330
    clean 8, outdoor 2, cleaning 1, vague 1
Brightwell Cleaning | en | general | 14 | BW{n:04d} | 4330
    clean 7, outdoor 2, clean_products 1, vague 1
Containerdienst Maaskant | nl | general | 13 | {y}{n:05d} | 4330
    waste 6, cleaning 1, vague 1
Gemeente Oosterlek | nl | general | 24 | {n:08d} | -
    levies 9, waste 1
Waterschap Zuidwaard | nl | general | 10 | {n:08d} | 4420
    waterlevy 6, vague 1
Stadtkasse Niederau | de | general | 13 | K{n:06d} | -
    levies 7, energy 1
Van Rossem Assurantiën | nl | general | 20 | {n:06d} | 4420
    insurance 8, appraisal 1, vague 1
Rhenania Sach Versicherung | de | general | 9 | RV{n:07d} | -
    insurance 7, appraisal 1
Harbour Mutual | en | general | 6 | HM{n:05d} | -
    insurance 6
BelPunt Zakelijk / Belpunt | nl | general | 34 | {n:08d} | 4510
    telecom 9, hardware 5, it 1, vague 1
Kabelhuis Telecom | nl | general | 16 | KH{n:06d} | 4510
    telecom 6, hardware 2, vague 1
Fernblick Mobil | de | general | 10 | FM{n:05d} | -
    telecom 5, hardware 2
Pixelwerf webbureau | nl | general | 20 | {y}-{n:03d} | 4510
    it 6, marketing 6, hardware 1, vague 1
Octavo IT Services | en | general | 16 | OCT{n:05d} | 4510
    it 6, hardware 4, telecom 1, vague 1
Kantoorvakhuis De Gids | nl | general | 26 | {n:06d} | -
    supplies 6, furniture 6, hardware 2, groceries 2, clean_products 1, appliances 1
Bouwmarkt Hamer & Zaag | nl | general | 34 | {n:07d} | -
    tools 8, materials 8, cleaning 1, clean_products 2, devices 2, appliances 1
Werkzeug Dornbusch | de | general | 14 | D{n:05d} | -
    tools 7, materials 3, devices 1
Alleshier.example webwinkel | nl | general | 26 | AH-{n:06d} | -
    hardware 4, tools 3, appliances 4, furniture 2, supplies 2, groceries 2, client_gift 2, clean_products 1
Trade Depot Online | en | general | 16 | TD{n:06d} | -
    tools 4, hardware 3, furniture 2, supplies 2, appliances 2, clean_products 1
Supermarkt De Linde | nl | general | 32 | {n:06d} | -
    groceries 7, client_gift 4, staff_gift 2, clean_products 3, staff_food 2, appliances 1
Frischmarkt Oeding | de | general | 9 | {n:05d} | -
    groceries 4, client_gift 2, staff_gift 1, clean_products 1
Eetcafé 't Sluisje / t Sluisje | nl | general | 30 | {n:04d} | -
    client_food 6, staff_food 6, openhouse 1
Gasthof Zur Fähre | de | general | 13 | {n:04d} | -
    client_food 4, staff_food 3
Bloemenhuis Anemoon | nl | general | 14 | {n:04d} | -
    client_gift 5, staff_gift 4, openhouse 2
The Copper Kettle | en | general | 10 | CK{n:04d} | -
    client_food 3, staff_food 3
Advocatenkantoor Steenhart | nl | general | 18 | {y}{n:04d} | 4700
    legal 7, vague 2
Notariaat Lelieveld | nl | general | 9 | {n:06d} | 4700
    legal 5, vague 1
Taalbrug Vertalingen | nl | general | 16 | TB{n:04d} | -
    translate_legal 5, translate_market 5
Wortwerk Übersetzungen | de | general | 9 | W{n:04d} | -
    translate_legal 3, translate_market 4
Drukkerij Halfweg | nl | general | 12 | {y}/{n:03d} | 4620
    print_market 6, print_legal 3, supplies 2, vague 1
Lindqvist & Moor Letting Media | en | general | 10 | LM{n:04d} | 4620
    marketing 6, appraisal 2, vague 1
Bouwadvies Terpstra-Noord | nl | roof | 14 | {y}-{n:03d} | 4700
    survey 7, mjop 3, vague 1
"""


def read_supplier(head: str, kinds: str) -> Supplier:
    """One supplier from its two lines in the table."""
    names, lang, trade, weight, number, code = head.split(" | ")
    usual = next((account for account in ACCOUNTS if account.startswith(code)), "")
    shares = dict(kind.split() for kind in kinds.split(", "))
    return Supplier(
        tuple(names.split(" / ")),
        lang,
        trade,
        int(weight),
        number,
        usual,
        {kind: int(share) for kind, share in shares.items()},
    )


SUPPLIER_LINES = SUPPLIER_TABLE.strip().splitlines()
SUPPLIERS = tuple(map(read_supplier, SUPPLIER_LINES[::2], SUPPLIER_LINES[1::2]))

# --------------------------------------------------------------------------- invented people

PEOPLE = listed("""
    T. Veenhuizen | mw. F. Oudeland | dhr. K. Achterveld | Sanne Wiltenaar | Herr J. Moorkamp |
    Frau L. Tiesing | Pieter Hoogwolde | Mr D. Larkhill | mevr. A. Zandlust | Bram Dijkerman | G. Overstege |
    Nora Quintmoor
""")
BANKS = (("NL", "VBLD"), ("NL", "XMPL"), ("DE", "00000000"))
PHONES = ("06-12345678", "+31 6 1234 5678", "030 23125 417", "+44 7700 900318")
