"""The words of the customs example: codes with what is written for them, and what is too vague to code.

The codes are those of the Harmonized System; the notes and the ways in which goods are described are invented.
"""

from typing import NamedTuple

LANGUAGES = ("en", "de", "nl")


class Code(NamedTuple):
    """A code: its number, what it covers, and in each language how goods of it are described."""

    code: str
    title: str
    said: dict[str, tuple[str, ...]]


CHAPTERS = {
    "39": "Plastics and articles of plastics",
    "62": "Clothing, not knitted",
    "73": "Articles of iron or steel",
    "85": "Electrical machines and parts",
    "94": "Furniture, bedding, lamps",
}

# code | what it covers; below it English, German and Dutch, with a slash between ways to say it
CODE_TABLE = """
391721 | Rigid tubes of polyethylene
    PE pipe rigid / HDPE tube
    PE-Rohr starr / HDPE-Druckrohr
    PE buis hard / HDPE drukbuis
391723 | Rigid tubes of PVC
    PVC pipe grey / rigid PVC conduit
    PVC-Rohr grau / KG-Rohr aus PVC
    PVC buis grijs / PVC elektrabuis
391739 | Flexible tubes of plastics
    flexible plastic hose / spiral hose PVC soft
    Kunststoffschlauch flexibel / Spiralschlauch weich
    flexibele kunststof slang / spiraalslang zacht
391740 | Fittings of plastics for tubes
    PVC elbow fitting / plastic pipe coupling
    PVC-Bogen Fitting / Kunststoff-Rohrmuffe
    PVC bocht fitting / kunststof buiskoppeling
391910 | Self-adhesive tape of plastics in rolls
    PP packing tape / plastic adhesive tape roll
    PP-Packband / Klebeband Kunststoff Rolle
    PP verpakkingstape / kunststof plakband rol
392010 | Plates and film of polyethylene
    PE film roll / polyethylene foil
    PE-Folie Rolle / Polyethylenfolie
    PE folie rol / polyethyleen folie
392190 | Laminated plates of plastics
    laminated plastic sheet / HPL panel
    Schichtstoffplatte / HPL-Platte
    gelamineerde kunststofplaat / HPL plaat
392310 | Boxes and crates of plastics
    plastic crate / euro box plastic
    Kunststoffkiste / Eurobox Kunststoff
    kunststof krat / eurobak kunststof
392321 | Bags of polyethylene
    PE bags / polyethylene refuse sacks
    PE-Beutel / Müllsäcke Polyethylen
    PE zakken / vuilniszakken polyethyleen
392350 | Stoppers and lids of plastics
    plastic screw caps / plastic lids
    Schraubverschluss Kunststoff / Kunststoffdeckel
    kunststof schroefdoppen / kunststof deksels
392410 | Tableware of plastics
    plastic cups / melamine plates
    Kunststoffbecher / Melaminteller
    plastic bekers / melamine borden
392690 | Other articles of plastics
    plastic cable clips / plastic wall plugs
    Kabelschellen Kunststoff / Kunststoffdübel
    kunststof kabelclips / kunststof pluggen
620140 | Men's coats of man-made fibres
    men's parka polyester / gents raincoat nylon
    Herren-Parka Polyester / Herrenregenmantel Nylon
    herenparka polyester / heren regenjas nylon
620240 | Women's coats of man-made fibres
    ladies parka polyester / women's raincoat nylon
    Damen-Parka Polyester / Damenregenmantel Nylon
    damesparka polyester / dames regenjas nylon
620342 | Men's trousers of cotton
    men's jeans cotton / gents chinos ctn
    Herrenjeans Baumwolle / Herren-Chino BW
    herenjeans katoen / heren chino ktn
620343 | Men's trousers of synthetic fibres
    men's work trousers polyester / gents trousers PES
    Herren-Arbeitshose Polyester / Herrenhose PES
    heren werkbroek polyester / herenbroek PES
620462 | Women's trousers of cotton
    ladies jeans cotton / women's chinos ctn
    Damenjeans Baumwolle / Damen-Chino BW
    damesjeans katoen / dames chino ktn
620463 | Women's trousers of synthetic fibres
    ladies trousers polyester / women's work trousers PES
    Damenhose Polyester / Damen-Arbeitshose PES
    damesbroek polyester / dames werkbroek PES
620520 | Men's shirts of cotton
    men's shirts cotton / gents oxford shirt ctn
    Herrenhemden Baumwolle / Herrenhemd Oxford BW
    herenoverhemden katoen / heren oxford hemd ktn
620530 | Men's shirts of man-made fibres
    men's shirts polyester / gents work shirt PES
    Herrenhemden Polyester / Herren-Arbeitshemd PES
    herenoverhemden polyester / heren werkhemd PES
620630 | Women's blouses of cotton
    ladies blouse cotton / women's blouses ctn
    Damenbluse Baumwolle / Damenblusen BW
    damesblouse katoen / dames blouses ktn
620640 | Women's blouses of man-made fibres
    ladies blouse polyester / women's blouses viscose
    Damenbluse Polyester / Damenblusen Viskose
    damesblouse polyester / dames blouses viscose
621020 | Coats of coated fabric
    PU coated rain coat / wax coat coated fabric
    Regenmantel PU-beschichtet / Wachsmantel beschichtet
    regenjas PU gecoat / waxjas gecoat doek
621143 | Women's overalls of man-made fibres
    ladies overall polyester / women's lab coat PES
    Damen-Overall Polyester / Damen-Laborkittel PES
    dames overall polyester / dames labjas PES
621420 | Shawls of wool
    wool scarf woven / woollen shawl
    Wollschal gewebt / Schultertuch Wolle
    wollen sjaal geweven / omslagdoek wol
730640 | Welded tubes of stainless steel
    welded stainless tube / SS pipe welded
    Edelstahlrohr geschweißt / VA-Rohr geschw.
    rvs buis gelast / inox pijp gelast
730661 | Welded square tubes of steel
    square steel tube welded / SHS section
    Vierkantrohr Stahl geschweißt / Hohlprofil quadratisch
    vierkante stalen koker gelast / kokerprofiel vierkant
730721 | Flanges of stainless steel
    stainless flange DN / SS weld neck flange
    Flansch Edelstahl DN / VA-Vorschweißflansch
    rvs flens DN / inox voorlasflens
730890 | Structures and parts of steel
    steel handrail / steel frame parts galvanised
    Stahlgeländer / Stahlkonstruktionsteile verzinkt
    stalen leuning / staalconstructiedelen verzinkt
731210 | Wire rope of steel
    steel wire rope / galvanised cable hoist
    Drahtseil Stahl / Stahlseil verzinkt
    staalkabel / stalen hijskabel verzinkt
731414 | Woven mesh of stainless steel
    stainless woven mesh / SS wire cloth
    Edelstahlgewebe / VA-Drahtgewebe
    rvs gaas geweven / inox draadweefsel
731511 | Roller chain of steel
    roller chain steel / drive chain 08B
    Rollenkette Stahl / Antriebskette 08B
    rollenketting staal / aandrijfketting 08B
731700 | Nails and staples of iron
    steel nails / wire staples iron
    Stahlnägel / Drahtklammern Eisen
    stalen nagels / draadnieten ijzer
731812 | Wood screws of steel
    wood screws steel / chipboard screws zinc steel
    Holzschrauben Stahl / Spanplattenschrauben Stahl vz.
    houtschroeven staal / spaanplaatschroeven staal vz.
731815 | Bolts of steel
    hex bolts steel 8.8 / machine screws steel
    Sechskantschrauben Stahl 8.8 / Maschinenschrauben Stahl
    zeskantbouten staal 8.8 / metaalschroeven staal
731816 | Nuts of steel
    hex nuts steel / lock nuts M8 steel
    Sechskantmuttern Stahl / Stoppmuttern M8 Stahl
    zeskantmoeren staal / borgmoeren M8 staal
732393 | Kitchenware of stainless steel
    stainless cookware / SS mixing bowls
    Edelstahl-Kochtöpfe / Rührschüsseln VA
    rvs pannen / inox mengkommen
732690 | Other articles of steel
    steel brackets bent / steel hooks
    Stahlwinkel gebogen / Stahlhaken
    stalen beugels gebogen / stalen haken
850131 | DC motors up to 750 W
    DC motor 24V 90W / gear motor DC 120 W
    Gleichstrommotor 24V 90W / DC-Getriebemotor 120 W
    gelijkstroommotor 24V 90W / DC reductiemotor 120 W
850152 | AC motors over 750 W to 75 kW
    three-phase motor 4kW / AC motor 11 kW
    Drehstrommotor 4kW / Asynchronmotor 11 kW
    draaistroommotor 4kW / asynchrone motor 11 kW
850440 | Static converters
    power supply 24V DIN rail / frequency inverter
    Netzteil 24V Hutschiene / Frequenzumrichter
    voeding 24V DIN-rail / frequentieregelaar
850650 | Lithium primary cells
    lithium button cell CR2032 / Li primary battery
    Lithium-Knopfzelle CR2032 / Li-Primärbatterie
    lithium knoopcel CR2032 / Li primaire batterij
850760 | Lithium-ion accumulators
    Li-ion battery pack / lithium accu 18V
    Li-Ion-Akkupack / Lithium-Akku 18V
    Li-ion accupack / lithium accu 18V oplaadbaar
851660 | Electric ovens and cookers
    electric oven built-in / induction hob
    Einbaubackofen elektrisch / Induktionskochfeld
    elektrische inbouwoven / inductiekookplaat
851713 | Smartphones
    smartphone 128GB / mobile phone android
    Smartphone 128GB / Handy Android
    smartphone 128GB / mobiele telefoon android
851830 | Headphones
    bluetooth headphones / in-ear headset
    Bluetooth-Kopfhörer / In-Ear-Headset
    bluetooth koptelefoon / in-ear headset oortjes
852852 | Monitors for computers
    LCD monitor 27" for PC / computer screen HDMI
    LCD-Monitor 27" PC / Computerbildschirm HDMI
    LCD monitor 27" pc / computerscherm HDMI
853650 | Switches up to 1,000 V
    push button switch 230V / rocker switch 16A
    Drucktaster 230V / Wippschalter 16A
    drukknopschakelaar 230V / wipschakelaar 16A
853669 | Plugs and sockets up to 1,000 V
    socket outlet 230V / CEE plug 16A
    Steckdose 230V / CEE-Stecker 16A
    wandcontactdoos 230V / CEE stekker 16A
854442 | Conductors with connectors
    USB-C cable 2m with plugs / mains lead with connector
    USB-C-Kabel 2m konfektioniert / Netzkabel mit Stecker
    USB-C kabel 2m met stekkers / netsnoer met connector
854449 | Conductors without connectors
    installation cable on drum 3x1.5 / copper wire insulated
    Installationskabel Trommel 3x1,5 / Kupferlitze isoliert
    installatiekabel op haspel 3x1,5 / koperdraad geïsoleerd
940130 | Swivel seats, height adjustable
    office swivel chair / adjustable desk chair
    Bürodrehstuhl / Drehstuhl höhenverstellbar
    bureaustoel draaibaar / verstelbare bureaustoel
940161 | Upholstered seats, wooden frame
    upholstered armchair oak frame / sofa wooden frame
    Polstersessel Eichengestell / Sofa Holzgestell
    gestoffeerde fauteuil eiken frame / bank houten frame
940171 | Upholstered seats, metal frame
    upholstered chair steel frame / bar stool padded metal
    Polsterstuhl Stahlgestell / Barhocker gepolstert Metall
    gestoffeerde stoel stalen frame / barkruk bekleed metaal
940310 | Metal furniture for offices
    steel filing cabinet office / metal office desk
    Aktenschrank Stahl Büro / Schreibtisch Metall Büro
    stalen archiefkast kantoor / metalen bureau kantoor
940330 | Wooden furniture for offices
    wooden office desk / office cupboard beech
    Büroschreibtisch Holz / Büroschrank Buche
    houten kantoorbureau / kantoorkast beuken
940340 | Wooden furniture for kitchens
    wooden kitchen cabinet / kitchen unit MDF
    Küchenschrank Holz / Küchenzeile MDF
    houten keukenkast / keukenblok MDF
940350 | Wooden furniture for bedrooms
    wooden bed frame / bedroom wardrobe pine
    Bettgestell Holz / Schlafzimmerschrank Kiefer
    houten ledikant / slaapkamerkast grenen
940421 | Mattresses of foam
    foam mattress 90x200 / latex mattress
    Schaumstoffmatratze 90x200 / Latexmatratze
    schuimmatras 90x200 / latex matras
940511 | LED ceiling and wall lamps
    LED ceiling lamp / wall light LED
    LED-Deckenleuchte / Wandleuchte LED
    led plafondlamp / wandlamp led
"""

# What no code follows from: general words, or a thing whose code hangs on what is not said.
VAGUE = {
    "en": (
        "spare parts", "samples no value", "accessories", "goods as per invoice", "machine parts", "trousers", "pipe",
        "screws and bolts", "desk", "chairs", "battery", "cable", "coats", "electronics", "household articles",
        "fittings", "motor", "flange", "bags", "textiles", "furniture", "lids", "personal effects", "repair parts",
    ),
    "de": (
        "Ersatzteile", "Muster ohne Wert", "Zubehör", "Ware lt. Rechnung", "Maschinenteile", "Hosen", "Rohr",
        "Schrauben", "Schreibtisch", "Stühle", "Batterie", "Kabel", "Mäntel", "Elektronik", "Haushaltsartikel",
        "Fittings", "Motor", "Flansch", "Beutel", "Textilien", "Möbel", "Deckel", "Kleinteile", "Reparaturteile",
    ),
    "nl": (
        "onderdelen", "monsters zonder waarde", "toebehoren", "goederen volgens factuur", "machinedelen", "broeken",
        "buis", "schroeven en bouten", "bureau", "stoelen", "batterij", "kabel", "jassen", "elektronica",
        "huishoudelijke artikelen", "koppelstukken", "motor", "flens", "zakken", "textiel", "meubels", "deksels",
        "kleingoed", "reparatiedelen",
    ),
}  # fmt: skip

PIECES = {"en": ("pcs", "ctns", "pallets"), "de": ("Stk", "Ktn", "Pal."), "nl": ("st", "dozen", "pallets")}
BEFORE = {"en": ("new", "used", "assorted"), "de": ("neu", "gebr.", "div."), "nl": ("nieuw", "gebr.", "div.")}
SHIPPERS = {
    "en": ("Harrowfield Trading Ltd", "Penwick Supplies", "Oakmere Imports", "Tolland & Pryce"),
    "de": ("Brockhoff Handels GmbH", "Nordkamp Technik", "Weidental Import", "Lohmar & Söhne KG"),
    "nl": ("Van Duiveland Import BV", "Kranenzicht Handel", "Groothandel De Schelf", "Oosterwijk Techniek"),
}


def read_code(head: str, *said: str) -> Code:
    """One code from its lines in the table."""
    code, title = head.split(" | ")
    return Code(
        code,
        title,
        {lang: tuple(ways.strip().split(" / ")) for lang, ways in zip(LANGUAGES, said, strict=True)},
    )


CODE_LINES = CODE_TABLE.strip().splitlines()
CODES = tuple(map(read_code, *(CODE_LINES[first::4] for first in range(4))))
