"""Suppliers, goods and labels of the invented supplier invoices.

Everything here is made up: no supplier, address or account exists. The tables hold what invoices say;
``layouts.py`` holds how it is arranged, ``generate.py`` what each invoice is about.
"""

from typing import Literal, NamedTuple

Language = Literal["en", "de", "nl", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "de", "nl", "fr")


class Supplier(NamedTuple):
    """A supplier and all that its invoices keep from one to the next.

    ``rate`` is the tax in tenths of a percent; ``number`` is filled with year ``y``, two-digit year ``yy`` and counter
    ``n``; ``country`` decides the forms of IBAN and tax number.
    """

    name: str
    lang: Language
    layout: str
    trade: str
    currency: str
    rate: int
    country: str
    number: str
    street: str
    city: str


def table(text: str) -> list[list[str]]:
    """The cells of a table with one row a line and bars between the cells."""
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


# --------------------------------------------------------------------------- suppliers

# name | layout | trade | currency | rate | country | number | street | city
SUPPLIER_TABLES: dict[Language, str] = {
    "en": """
Thornmere Office Supply Ltd | letterhead | office | GBP | 200 | GB | INV-{n:05d} | 14 Kiln Row | Harrowmere HM4 2QT
Bluegate Networks Ltd | label row | it | GBP | 200 | GB | BG{yy}{n:04d} | 3 Sluice Yard | Aldwick Bay AB1 7RD
Penhallow Cleaning | window | cleaning | GBP | 200 | GB | {n}/{yy} | 27 Copper Lane | Stonebeck SB9 4LE
The Larder at Quince Hill | plain list | catering | GBP | 200 | GB | QH-{n} | 1 Quince Hill | Harrowmere HM1 3AA
Inkwright Press | positions | print | GBP | 200 | GB | {y}-{n:03d} | 88 Mill Street | Netherford NF2 5TU
Dunmarrow Electrical | stacked | electric | GBP | 200 | GB | DE {n:06d} | 5 Foundry Road | Stonebeck SB2 8JW
Fastnet Lane Couriers | footer | courier | EUR | 230 | IE | FLC{n:05d} | 40 Quayside | Ballyrone
Greenshaw Gardens | totals first | garden | GBP | 200 | GB | GG/{y}/{n:03d} | Orchard Works | Netherford NF8 1PB
Lomax & Whitby Training | letter | training | GBP | 0 | GB | LW-{yy}-{n:03d} | 9 Assembly Walk | Aldwick Bay AB3 6HG
Corrib Heating Services | receipt | heating | EUR | 135 | IE | {n:05d} | 12 Weir Terrace | Ballyrone
Carrowmoor Furniture Ltd | letterhead | furniture | EUR | 230 | IE | CF-{y}-{n:04d} | Unit 6, Saltpan Park | Kilavally
Redstone Paper Co. | label row | office | USD | 65 | US | {n:06d} | 410 Larch Avenue | Pinecross, OR 97999
Harbor & Vale IT Inc. | window | it | USD | 65 | US | HV-{n:05d} | 77 Wharf Street | Saltmarsh, ME 04999
Cedarline Catering LLC | plain list | catering | USD | 80 | US | C{yy}-{n:04d} | 1200 Cedar Line | Pinecross, OR 97999
Maddock Print & Sign | positions | print | GBP | 200 | GB | MPS{n} | 2 Tanner's Gate | Stonebeck SB5 5DN
""",
    "de": """
Bürobedarf Lindacker GmbH | letterhead | office | EUR | 190 | DE | RE-{y}-{n:04d} | Gerberstraße 8 | 99998 Wiesenbrunn
Kranzfeld IT-Service GmbH | label row | it | EUR | 190 | DE | {yy}{n:05d} | Am Hafen 21 | 99995 Oderhagen
Glanz & Söhne Reinigung | window | cleaning | EUR | 190 | DE | R{n:05d} | Birkenweg 3 | 99991 Talheim-Nord
Partyservice Oberkofler | plain list | catering | EUR | 70 | DE | {n}/{y} | Marktplatz 12 | 99998 Wiesenbrunn
Druckhaus Immerrath | positions | print | EUR | 190 | DE | DH-{n:06d} | Setzerweg 5 | 99995 Oderhagen
Elektro Wintgens e.K. | stacked | electric | EUR | 190 | DE | {y}/{n:03d} | Lötgasse 17 | 99993 Altenrieth
Kurierdienst Blitzeck | footer | courier | EUR | 190 | DE | KB{yy}-{n:04d} | Ringstraße 44 | 99995 Oderhagen
Gartenbau Mooshuber | totals first | garden | EUR | 190 | DE | {n:05d} | Baumschulweg 1 | 99991 Talheim-Nord
Akademie Rosenthalhof | letter | training | EUR | 0 | DE | AR-{y}-{n:03d} | Schlossallee 30 | 99993 Altenrieth
Wärmetechnik Pfaffinger KG | receipt | heating | EUR | 190 | DE | WP{n:05d} | Kesselstraße 9 | 99998 Wiesenbrunn
Möbelwerk Tannholz GmbH | stacked | furniture | EUR | 190 | DE | M-{n:05d} | Sägemühle 2 | 99993 Altenrieth
Alpstein Büro AG | footer | office | CHF | 81 | CH | {y}{n:04d} | Seegasse 11 | 9999 Rütibach
Netzwerk Furrer AG | totals first | it | CHF | 81 | CH | F-{n:05d} | Talstrasse 60 | 9998 Oberaltwil
Sauberwerk Zgraggen | letter | cleaning | CHF | 81 | CH | SZ-{y}-{n:03d} | Dorfplatz 4 | 9999 Rütibach
Brotzeit am Wehr | receipt | catering | EUR | 70 | DE | B{n:04d} | Wehrgasse 6 | 99991 Talheim-Nord
""",
    "nl": """
Kantoorhuis Zilverberg BV | letterhead | office | EUR | 210 | NL | {y}{n:04d} | Turfkade 18 | 9999 ZB Oostermeer
Bitwerf Automatisering | label row | it | EUR | 210 | NL | BW{y}-{n:03d} | Sluisweg 7 | 9998 KC Waardrecht
Schoonmaakbedrijf Helder | window | cleaning | EUR | 210 | NL | H{n:05d} | Zeepstraat 2 | 9997 AL Lindewoude
Broodkamer De Smaak | plain list | catering | EUR | 90 | NL | {yy}-{n:03d} | Markt 31 | 9999 ZA Oostermeer
Drukkerij Waterloop | positions | print | EUR | 210 | NL | F{n:06d} | Inktpad 14 | 9996 VD Veldhuizen
Stroomvast Elektro BV | stacked | electric | EUR | 210 | NL | SV-{n:05d} | Ampèreweg 50 | 9998 KD Waardrecht
Fietskoeriers Ringvaart | footer | courier | EUR | 210 | NL | {y}.{n:04d} | Dijkstraat 3 | 9999 ZC Oostermeer
Hovenier Groenewold | totals first | garden | EUR | 210 | NL | HG{yy}{n:03d} | Laan van Beuk 22 | 9997 AM Lindewoude
Leerplein Trainingen BV | letter | training | EUR | 210 | NL | LP-{y}-{n:03d} | Schoolhof 1 | 9996 VE Veldhuizen
Warmtehuis Boersema | receipt | heating | EUR | 210 | NL | {n:06d} | Ketelpad 9 | 9998 KE Waardrecht
Stoel & Tafel Projecten | letterhead | furniture | EUR | 210 | NL | ST{y}/{n:03d} | Eikenhof 40 | 9997 AN Lindewoude
Papierwaren De Scheldehoek | label row | office | EUR | 210 | BE | {n}/{y} | Leuvenlaan 16 | 9999 Sint-Amelberga
Netvlecht BVBA | window | it | EUR | 210 | BE | NV{yy}{n:04d} | Vlasmarkt 5 | 9998 Berkekerke
Traiteur Den Appelboom | plain list | catering | EUR | 120 | BE | A-{n:04d} | Boomgaardstraat 8 | 9999 Sint-Amelberga
Letterzetter Groep | positions | print | EUR | 210 | NL | LG {n:05d} | Persweg 12 | 9996 VF Veldhuizen
""",
    "fr": """
Papeterie du Vieux Lavoir | letterhead | office | EUR | 200 | FR | FA-{y}-{n:04d} | 6 rue du Lavoir | 99110 Montclairin
Réseaux Belorme SARL | label row | it | EUR | 200 | FR | {yy}{n:05d} | 28 quai des Forges | 99250 Saint-Aubrac
Nettoyage Clairval | window | cleaning | EUR | 200 | FR | C{n:05d} | 3 impasse des Tilleuls | 99380 Valmorel
Traiteur La Grande Table | plain list | catering | EUR | 100 | FR | {y}/{n:03d} | 15 place du Marché | 99110 Montclairin
Imprimerie Delafosse | positions | print | EUR | 200 | FR | ID{n:06d} | 41 rue des Presses | 99250 Saint-Aubrac
Électricité Marchebois | stacked | electric | EUR | 200 | FR | EM-{yy}-{n:03d} | 9 chemin du Moulin | 99470 Pontarel
Coursiers des Trois Ponts | footer | courier | EUR | 200 | FR | CTP{n:05d} | 2 rue des Ponts | 99250 Saint-Aubrac
Jardins Beauséjour | totals first | garden | EUR | 200 | FR | J{y}-{n:03d} | 70 rue de la Forêt | 99380 Valmorel
Formation Horizon Neuf | letter | training | EUR | 200 | FR | HN-{n:04d} | 18 avenue Lamarre | 99110 Montclairin
Chauffage Pradelle | receipt | heating | EUR | 55 | FR | {n:06d} | 5 rue de la Chaudière | 99470 Pontarel
Mobilier Castelnoue | stacked | furniture | EUR | 200 | FR | MC/{yy}/{n:04d} | 33 zone du Chêne | 99470 Pontarel
Fournitures Léman-Est SA | footer | office | CHF | 81 | CH | FL-{n:05d} | 10 rue du Port | 9997 Villarsel
Informatique Grandvaux | totals first | it | CHF | 81 | CH | {y}{n:04d} | 21 chemin des Vignes | 9996 Montbrillant
Propreté Atlantis | letter | cleaning | EUR | 200 | FR | PA{yy}-{n:03d} | 8 rue de l'Écluse | 99250 Saint-Aubrac
Boulangerie Fine Grangeon | receipt | catering | EUR | 55 | FR | B{n:04d} | 1 place de l'Église | 99380 Valmorel
""",
}


def suppliers_of(lang: Language) -> list[Supplier]:
    """The suppliers that write in one language."""
    return [
        Supplier(name, lang, layout, trade, currency, int(rate), country, number, street, city)
        for name, layout, trade, currency, rate, country, number, street, city in table(SUPPLIER_TABLES[lang])
    ]


SUPPLIERS: tuple[Supplier, ...] = tuple(supplier for lang in LANGUAGES for supplier in suppliers_of(lang))

# The buyer: one group with an office for each language.
BUYERS: dict[Language, tuple[str, str, str]] = {
    "en": ("Kestrelhof Group Ltd", "100 Beacon Street", "Harrowmere HM2 9XY"),
    "de": ("Kestrelhof GmbH", "Lagerweg 15", "99995 Oderhagen"),
    "nl": ("Kestrelhof Nederland BV", "Kadeplein 4", "9998 KA Waardrecht"),
    "fr": ("Kestrelhof France SAS", "50 cours Balmont", "99250 Saint-Aubrac"),
}

# --------------------------------------------------------------------------- goods


class Good(NamedTuple):
    """Something that a trade sells: its names by language, the range of its price in whole units of money, and how."""

    names: dict[Language, str]
    low: int
    high: int
    hours: bool
    once: bool


# English | German | Dutch | French | lowest price | highest price; behind it an h for what is sold by the hour, and a 1
# for what stands on an invoice once.
GOODS_TABLES = {
    "office": """
Copy paper A4, box | Kopierpapier A4, Karton | Kopieerpapier A4, doos | Papier A4, carton | 22 | 38
Toner {ref} | Toner {ref} | Toner {ref} | Toner {ref} | 48 | 129
Ring binders, blue | Ordner, blau | Ordners, blauw | Classeurs bleus | 3 | 6
Ballpoint pens, box | Kugelschreiber, Packung | Balpennen, doos | Stylos bille, boîte | 8 | 19
Envelopes C5 | Briefumschläge C5 | Enveloppen C5 | Enveloppes C5 | 9 | 24
Desk lamp {ref} | Schreibtischlampe {ref} | Bureaulamp {ref} | Lampe de bureau {ref} | 29 | 84
Whiteboard markers | Whiteboardmarker | Whiteboardstiften | Feutres effaçables | 6 | 14
Label rolls {ref} | Etikettenrollen {ref} | Etiketrollen {ref} | Étiquettes {ref} | 11 | 27
Paper shredder {ref} | Aktenvernichter {ref} | Versnipperaar {ref} | Destructeur {ref} | 119 | 340
Sticky notes, pack | Haftnotizen, Pack | Memoblokjes, pak | Notes adhésives, lot | 4 | 11
Calculator | Tischrechner | Rekenmachine | Calculatrice | 15 | 49
Delivery | Lieferung | Bezorging | Livraison | 5 | 15 1
""",
    "it": """
Server hosting {month} | Serverhosting {month} | Serverhosting {month} | Hébergement {month} | 59 | 240 1
Remote support | Fernwartung | Hulp op afstand | Assistance à distance | 78 | 125 h
On-site support | Einsatz vor Ort | Hulp op locatie | Intervention sur site | 90 | 140 h
Office licence, year | Office-Lizenz, Jahr | Officelicentie, jaar | Licence Office, an | 96 | 180 1
Notebook {ref} | Notebook {ref} | Laptop {ref} | Portable {ref} | 740 | 1690
Monitor 27 inch | Monitor 27 Zoll | Monitor 27 inch | Écran 27 pouces | 189 | 420
Docking station {ref} | Dockingstation {ref} | Dockingstation {ref} | Station d'accueil {ref} | 129 | 240
Network switch {ref} | Netzwerkswitch {ref} | Netwerkswitch {ref} | Commutateur {ref} | 85 | 390
Backup service {month} | Datensicherung {month} | Back-up {month} | Sauvegarde {month} | 25 | 95 1
Headset | Headset | Headset | Casque audio | 45 | 139
SSL certificate | SSL-Zertifikat | SSL-certificaat | Certificat SSL | 39 | 99 1
Travel costs | Fahrtkosten | Reiskosten | Frais de déplacement | 25 | 70 1
""",
    "cleaning": """
Office cleaning {month} | Büroreinigung {month} | Schoonmaak {month} | Nettoyage {month} | 320 | 1480 1
Window cleaning | Fensterreinigung | Ramen wassen | Nettoyage des vitres | 85 | 410 1
Carpet cleaning | Teppichreinigung | Tapijtreiniging | Nettoyage moquette | 60 | 290 1
Extra hours | Zusatzstunden | Extra uren | Heures supplémentaires | 28 | 42 h
Soap refills | Seifennachfüllung | Zeepvullingen | Recharges de savon | 5 | 12
Paper towels, box | Papierhandtücher, Karton | Handdoekjes, doos | Essuie-mains, carton | 18 | 36
Bin bags | Müllbeutel | Vuilniszakken | Sacs poubelle | 6 | 15
Floor polishing | Bodenpolitur | Vloer boenen | Cirage des sols | 110 | 380 1
Stairwell, weekly | Treppenhaus, wöchentlich | Trappenhuis, wekelijks | Cage d'escalier | 45 | 130 1
Disinfectant 5 l | Desinfektion 5 l | Desinfectie 5 l | Désinfectant 5 l | 19 | 44
""",
    "catering": """
Lunch buffet | Mittagsbuffet | Lunchbuffet | Buffet déjeuner | 12 | 24
Sandwich platter | Belegte Brötchen, Platte | Schaal broodjes | Plateau de sandwichs | 28 | 64
Coffee and tea | Kaffee und Tee | Koffie en thee | Café et thé | 2 | 4
Fruit basket | Obstkorb | Fruitmand | Corbeille de fruits | 18 | 42
Mineral water 0.75 l | Mineralwasser 0,75 l | Mineraalwater 0,75 l | Eau minérale 0,75 l | 2 | 4
Cake slices | Kuchenstücke | Stukken taart | Parts de gâteau | 2 | 5
Soup of the day | Tagessuppe | Dagsoep | Soupe du jour | 4 | 8
Waiting staff | Servicepersonal | Bediening | Serveurs | 26 | 38 h
Cheese board | Käseplatte | Kaasplank | Plateau de fromages | 32 | 75
Glass hire | Gläserverleih | Huur glazen | Location de verres | 15 | 45 1
Vegetarian menu | Vegetarisches Menü | Vegetarisch menu | Menu végétarien | 14 | 29
""",
    "print": """
Business cards, 250 | Visitenkarten, 250 Stk. | Visitekaartjes, 250 st. | Cartes de visite, 250 | 38 | 79
Flyers A5, 1000 | Flyer A5, 1000 Stk. | Flyers A5, 1000 st. | Dépliants A5, 1000 | 85 | 190
Brochure 12 pages | Broschüre 12 Seiten | Brochure 12 pagina's | Brochure 12 pages | 240 | 890 1
Letterheads, 500 | Briefbögen, 500 Stk. | Briefpapier, 500 vel | Papier à en-tête, 500 | 65 | 140
Poster A1 | Plakat A1 | Poster A1 | Affiche A1 | 14 | 39
Roll-up banner | Roll-up-Banner | Roll-upbanner | Bannière enroulable | 79 | 160
Proof print | Probedruck | Drukproef | Épreuve | 12 | 35 1
Layout work | Satzarbeiten | Opmaak | Mise en page | 58 | 85 h
Stickers, roll | Aufkleber, Rolle | Stickers, rol | Autocollants, rouleau | 22 | 68
Folding and stapling | Falzen und Heften | Vouwen en nieten | Pliage et agrafage | 25 | 110 1
Door sign {ref} | Türschild {ref} | Deurbordje {ref} | Plaque de porte {ref} | 18 | 56
""",
    "electric": """
Electrician | Monteurstunden | Monteur | Main-d'œuvre | 52 | 78 h
LED panel {ref} | LED-Panel {ref} | Ledpaneel {ref} | Panneau LED {ref} | 32 | 88
Cable NYM 3x1.5, 50 m | Kabel NYM 3x1,5, 50 m | Kabel 3x1,5, 50 m | Câble 3x1,5, 50 m | 34 | 69
Double socket | Doppelsteckdose | Dubbel stopcontact | Double prise | 9 | 24
Circuit breaker B16 | Sicherungsautomat B16 | Automaat B16 | Disjoncteur B16 | 7 | 19
Motion sensor | Bewegungsmelder | Bewegingsmelder | Détecteur de mouvement | 28 | 74
Safety inspection | Prüfung der Anlage | Keuring installatie | Contrôle de sécurité | 140 | 460 1
Call-out | Anfahrt | Voorrijkosten | Déplacement | 35 | 65 1
Emergency light | Notleuchte | Noodverlichting | Éclairage de secours | 48 | 120
Charging point {ref} | Ladestation {ref} | Laadpaal {ref} | Borne {ref} | 690 | 1480
Small parts | Kleinmaterial | Klein materiaal | Petites fournitures | 8 | 30 1
""",
    "courier": """
Same-day parcel | Paket am selben Tag | Pakket zelfde dag | Colis jour même | 14 | 32
Pallet delivery | Palettenlieferung | Palletlevering | Livraison palette | 68 | 185
City courier | Stadtkurier | Stadskoerier | Course en ville | 8 | 19
Fuel surcharge | Dieselzuschlag | Brandstoftoeslag | Supplément carburant | 3 | 18 1
Waiting time | Wartezeit | Wachttijd | Temps d'attente | 30 | 48 h
Storage {month} | Lagerung {month} | Opslag {month} | Stockage {month} | 40 | 160 1
Registered letter | Einschreiben | Aangetekende brief | Lettre recommandée | 6 | 13
Night delivery | Nachtzustellung | Nachtlevering | Livraison de nuit | 45 | 120
Packing material | Verpackung | Verpakking | Emballage | 5 | 28 1
Return shipment | Rücksendung | Retourzending | Retour colis | 7 | 22
Insurance | Versicherung | Verzekering | Assurance | 4 | 25 1
""",
    "garden": """
Lawn mowing | Rasenmähen | Gras maaien | Tonte de pelouse | 45 | 160 1
Hedge trimming | Heckenschnitt | Heg snoeien | Taille de haie | 70 | 320 1
Gardener | Gärtnerstunden | Hovenier | Jardinier | 38 | 54 h
Green waste | Grünschnitt | Groenafval | Déchets verts | 25 | 90 1
Boxwood 60 cm | Buchsbaum 60 cm | Buxus 60 cm | Buis 60 cm | 14 | 39
Bark mulch, bag | Rindenmulch, Sack | Boomschors, zak | Paillis, sac | 6 | 12
Gravel, tonne | Kies, Tonne | Grind, ton | Gravier, tonne | 38 | 75
Office plants {month} | Büropflanzen {month} | Planten {month} | Plantes {month} | 55 | 190 1
Fertiliser 10 kg | Dünger 10 kg | Mest 10 kg | Engrais 10 kg | 16 | 34
Tree inspection | Baumkontrolle | Boomcontrole | Contrôle des arbres | 60 | 180 1
Snow clearing | Winterdienst | Sneeuwruimen | Déneigement | 40 | 130 1
""",
    "training": """
First aid course | Erste-Hilfe-Kurs | Cursus EHBO | Cours de secourisme | 85 | 190
Spreadsheet course | Tabellenkurs | Cursus spreadsheets | Cours de tableur | 140 | 320
Language lesson | Sprachunterricht | Taalles | Cours de langue | 42 | 68 h
Coaching | Coaching | Coaching | Accompagnement | 95 | 160 h
Workbook | Arbeitsheft | Werkboek | Cahier d'exercices | 12 | 29
Room hire | Raummiete | Zaalhuur | Location de salle | 120 | 360 1
Safety briefing | Sicherheitsschulung | Veiligheidsinstructie | Formation sécurité | 75 | 240
Exam fee | Prüfungsgebühr | Examengeld | Frais d'examen | 60 | 145
Workshop, half day | Workshop, halber Tag | Workshop, dagdeel | Atelier, demi-journée | 390 | 780 1
Online module {ref} | Onlinemodul {ref} | Onlinemodule {ref} | Module en ligne {ref} | 29 | 99
""",
    "heating": """
Boiler service | Kesselwartung | Onderhoud ketel | Entretien chaudière | 95 | 220 1
Heating engineer | Monteurstunden | Monteur | Technicien | 55 | 82 h
Thermostat {ref} | Thermostat {ref} | Thermostaat {ref} | Thermostat {ref} | 39 | 165
Pump {ref} | Umwälzpumpe {ref} | Pomp {ref} | Circulateur {ref} | 140 | 390
Radiator valve | Heizkörperventil | Radiatorkraan | Vanne de radiateur | 18 | 45
Air filter | Luftfilter | Luchtfilter | Filtre à air | 14 | 48
Gasket set | Dichtungssatz | Pakkingset | Jeu de joints | 9 | 26
Exhaust test | Abgasmessung | Rookgasmeting | Mesure des fumées | 45 | 90 1
Expansion tank 25 l | Ausgleichsgefäß 25 l | Expansievat 25 l | Vase d'expansion 25 l | 49 | 110
Copper pipe 22 mm | Kupferrohr 22 mm | Koperbuis 22 mm | Tube cuivre 22 mm | 12 | 29
Call-out | Anfahrt | Voorrijkosten | Déplacement | 35 | 60 1
""",
    "furniture": """
Office chair {ref} | Bürostuhl {ref} | Bureaustoel {ref} | Chaise {ref} | 149 | 520
Desk 160 x 80 | Schreibtisch 160 x 80 | Bureau 160 x 80 | Bureau 160 x 80 | 240 | 690
Sit-stand desk {ref} | Stehtisch {ref} | Zit-stabureau {ref} | Bureau réglable {ref} | 420 | 980
Pedestal | Rollcontainer | Ladeblok | Caisson mobile | 95 | 260
Bookcase oak | Regal Eiche | Boekenkast eiken | Étagère chêne | 130 | 410
Meeting table | Konferenztisch | Vergadertafel | Table de réunion | 380 | 1390
Coat stand | Garderobenständer | Kapstok | Portemanteau | 35 | 110
Acoustic panel | Akustikpaneel | Akoestisch paneel | Panneau acoustique | 60 | 190
Assembly | Montage | Montage | Montage | 42 | 64 h
Delivery | Lieferung | Bezorging | Livraison | 45 | 140 1
""",
}


def goods_of(trade: str) -> list[Good]:
    """What a trade sells."""
    goods = []
    for en, de, nl, fr, low, high in table(GOODS_TABLES[trade]):
        names: dict[Language, str] = {"en": en, "de": de, "nl": nl, "fr": fr}
        most, _, how = high.partition(" ")
        goods.append(Good(names, int(low), int(most), hours=how == "h", once=how == "1"))
    return goods


GOODS: dict[str, list[Good]] = {trade: goods_of(trade) for trade in GOODS_TABLES}

MONTHS_TABLE = """
January|February|March|April|May|June|July|August|September|October|November|December
Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember
januari|februari|maart|april|mei|juni|juli|augustus|september|oktober|november|december
janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre
"""
MONTHS: dict[Language, list[str]] = dict(zip(LANGUAGES, table(MONTHS_TABLE), strict=True))

# --------------------------------------------------------------------------- labels

# What stands beside the values; where there are several, a supplier keeps to one.
LABELS: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "title": ("INVOICE", "Invoice", "Tax invoice"),
        "number": ("Invoice no.", "Invoice number", "Invoice #", "Our reference"),
        "date": ("Date", "Invoice date", "Issued"),
        "customer": ("Customer no.", "Account"),
        "order": ("Your order", "PO number"),
        "due": ("Due date", "Payable by"),
        "description": ("Description", "Item"),
        "quantity": ("Qty", "Quantity"),
        "price": ("Unit price", "Price"),
        "amount": ("Amount", "Line total"),
        "net": ("Subtotal", "Net amount"),
        "vat": ("VAT",),
        "total": ("Total", "Total due", "Amount payable"),
        "bank": ("IBAN",),
        "tax_id": ("VAT reg. no.", "VAT number"),
        "position": ("Pos.", "No."),
        "bill_to": ("Bill to", "To"),
        "pieces": ("pcs",),
        "hours": ("hrs",),
    },
    "de": {
        "title": ("RECHNUNG", "Rechnung"),
        "number": ("Rechnungsnummer", "Rechnung Nr.", "Rechnungs-Nr.", "Belegnummer"),
        "date": ("Datum", "Rechnungsdatum"),
        "customer": ("Kundennummer", "Kd.-Nr."),
        "order": ("Ihre Bestellung", "Auftrag"),
        "due": ("Fällig am", "Zahlbar bis"),
        "description": ("Bezeichnung", "Beschreibung", "Leistung"),
        "quantity": ("Menge", "Anzahl"),
        "price": ("Einzelpreis", "E-Preis"),
        "amount": ("Betrag", "Gesamt"),
        "net": ("Zwischensumme", "Nettobetrag", "Summe netto"),
        "vat": ("MwSt.", "USt."),
        "total": ("Gesamtbetrag", "Rechnungsbetrag", "Endbetrag"),
        "bank": ("IBAN",),
        "tax_id": ("USt-IdNr.", "USt-ID"),
        "position": ("Pos.",),
        "bill_to": ("Rechnung an", "An"),
        "pieces": ("Stk",),
        "hours": ("Std",),
    },
    "nl": {
        "title": ("FACTUUR", "Factuur"),
        "number": ("Factuurnummer", "Factuurnr.", "Nummer"),
        "date": ("Datum", "Factuurdatum"),
        "customer": ("Klantnummer", "Debiteur"),
        "order": ("Uw order", "Opdracht"),
        "due": ("Vervaldatum", "Te betalen voor"),
        "description": ("Omschrijving", "Artikel"),
        "quantity": ("Aantal",),
        "price": ("Prijs", "Stukprijs"),
        "amount": ("Bedrag", "Totaal"),
        "net": ("Subtotaal", "Totaal excl. btw"),
        "vat": ("Btw", "BTW"),
        "total": ("Totaal incl. btw", "Te betalen", "Factuurbedrag"),
        "bank": ("IBAN", "Rekening"),
        "tax_id": ("Btw-nr.", "BTW-nummer"),
        "position": ("Nr.",),
        "bill_to": ("Aan", "Factuuradres"),
        "pieces": ("st",),
        "hours": ("uur",),
    },
    "fr": {
        "title": ("FACTURE", "Facture"),
        "number": ("Facture n°", "Numéro de facture", "N° de facture", "Référence"),
        "date": ("Date", "Date de facture", "Émise le"),
        "customer": ("Code client", "N° client"),
        "order": ("Votre commande", "Bon de commande"),
        "due": ("Échéance", "À régler avant le"),
        "description": ("Désignation", "Libellé"),
        "quantity": ("Qté", "Quantité"),
        "price": ("Prix unitaire", "P.U."),
        "amount": ("Montant", "Montant HT"),
        "net": ("Total HT", "Sous-total"),
        "vat": ("TVA",),
        "total": ("Total TTC", "Net à payer", "Montant total"),
        "bank": ("IBAN",),
        "tax_id": ("N° TVA", "TVA intracom."),
        "position": ("N°",),
        "bill_to": ("Facturé à", "Client"),
        "pieces": ("pce",),
        "hours": ("h",),
    },
}

# Where tax and tax number have other names than in the rest of the language's countries.
COUNTRY_LABELS: dict[str, dict[str, str]] = {
    "US": {"vat": "Sales tax", "bank": "Account", "tax_id": "Tax ID"},
    "CH": {"tax_id": "UID"},
}

# Last lines; {due} is the day by which to pay, {day} a day shortly before the invoice.
NOTES: dict[Language, tuple[str, ...]] = {
    "en": (
        "Please pay by {due}.",
        "Payment within 30 days, please quote the invoice number.",
        "Thank you for your order.",
        "Delivered on {day}.",
        "",
    ),
    "de": (
        "Zahlbar bis {due} ohne Abzug.",
        "Zahlungsziel 30 Tage. Bitte Rechnungsnummer angeben.",
        "Vielen Dank für Ihren Auftrag.",
        "Leistungsdatum: {day}",
        "",
    ),
    "nl": (
        "Graag betalen voor {due}.",
        "Betaling binnen 30 dagen onder vermelding van het nummer.",
        "Bedankt voor uw opdracht.",
        "Geleverd op {day}.",
        "",
    ),
    "fr": (
        "À régler avant le {due}.",
        "Paiement à 30 jours en rappelant le numéro.",
        "Merci de votre confiance.",
        "Livré le {day}.",
        "",
    ),
}

# The sentences of the layout that is a letter.
LETTER: dict[Language, dict[str, str]] = {
    "en": {
        "greeting": "Dear customer,",
        "opening": "for our work and deliveries we charge:",
        "sum": "The net sum is {net}. With {rate} {vat} of {tax} this makes {total}.",
        "paying": "Please pay by {due} to {bank}.",
        "closing": "Kind regards",
    },
    "de": {
        "greeting": "Sehr geehrte Damen und Herren,",
        "opening": "für unsere Leistungen berechnen wir:",
        "sum": "Die Summe beträgt netto {net}, mit {rate} {vat} von {tax} insgesamt {total}.",
        "paying": "Bitte überweisen Sie bis {due} auf {bank}.",
        "closing": "Mit freundlichen Grüßen",
    },
    "nl": {
        "greeting": "Geachte klant,",
        "opening": "voor onze diensten brengen wij in rekening:",
        "sum": "Het totaal is {net} exclusief btw. Met {rate} {vat} van {tax} wordt dit {total}.",
        "paying": "Wij verzoeken u voor {due} te betalen op {bank}.",
        "closing": "Met vriendelijke groet",
    },
    "fr": {
        "greeting": "Madame, Monsieur,",
        "opening": "nous vous facturons nos prestations :",
        "sum": "Le total hors taxes est de {net} ; avec la {vat} à {rate} de {tax}, il vient {total}.",
        "paying": "Merci de régler avant le {due} sur {bank}.",
        "closing": "Cordialement",
    },
}

# --------------------------------------------------------------------------- forms of dates and money

# By language, or by country where it has its own; d and m are padded with zeros, j is not, {month} is the name.
DATE_FORMS: dict[str, tuple[str, ...]] = {
    "en": ("{j} {month} {y}", "{d}/{m}/{y}", "{j} {mon} {y}"),
    "US": ("{month} {j}, {y}", "{mon} {j}, {y}"),
    "de": ("{d}.{m}.{y}", "{j}. {month} {y}", "{d}.{m}.{yy}"),
    "nl": ("{d}-{m}-{y}", "{j} {month} {y}", "{d}-{m}-{yy}"),
    "BE": ("{d}/{m}/{y}", "{j} {month} {y}"),
    "fr": ("{d}/{m}/{y}", "{j} {month} {y}", "{d}/{m}/{yy}"),
    "CH": ("{d}.{m}.{y}",),
}

# Separators of thousands and of decimals, by language, or by country where it has its own.
NUMBER_FORMS = {"en": (",", "."), "de": (".", ","), "nl": (".", ","), "fr": (" ", ","), "CH": ("'", ".")}

# How a sum is written with its currency.
MONEY_FORMS: dict[str, dict[Language, tuple[str, ...]]] = {
    "EUR": {
        "en": ("€{}", "EUR {}"),
        "de": ("{} €", "{} EUR", "EUR {}"),
        "nl": ("€ {}", "EUR {}"),
        "fr": ("{} €", "{} EUR"),
    },
    "GBP": {"en": ("£{}", "GBP {}")},
    "USD": {"en": ("${}", "USD {}")},
    "CHF": {"de": ("CHF {}", "Fr. {}"), "fr": ("CHF {}", "{} CHF")},
}

# Accounts have valid check digits at banks that do not exist; # is any digit.
ACCOUNT_FORMS = {
    "GB": "XQZB99999########",
    "IE": "XQZI9999#########",
    "DE": "99999999##########",
    "CH": "99999############",
    "NL": "XQZN##########",
    "BE": "999#########",
    "FR": "9999999999#############",
}
TAX_ID_FORMS = {
    "GB": "GB999######",
    "IE": "IE9999###XH",
    "US": "00-#######",
    "DE": "DE999######",
    "CH": "CHE-999.###.###",
    "NL": "NL999######B01",
    "BE": "BE0999######",
    "FR": "FR00999######",
}
