"""Names, professions and phrases of the invented CVs.

Everything here is made up: no person, employer or school exists. The tables hold what CVs say; ``cv.py`` holds the
rules of the house style, ``layouts.py`` how a CV is arranged.
"""

from typing import NamedTuple


def listed(text: str) -> tuple[str, ...]:
    """The phrases of a block of text, with bars between them."""
    return tuple(phrase.strip() for phrase in " ".join(text.split()).split(" | ") if phrase.strip(" |"))


class Profession(NamedTuple):
    """What people of one profession have done and can do.

    ``roles`` rise from the first job to the last; ``duties`` begin with a verb of ``VERBS`` and may hold a range of
    numbers, ``{5-20}``; ``trades`` end the names of employers.
    """

    degrees: tuple[str, ...]
    roles: tuple[str, ...]
    trades: tuple[str, ...]
    duties: tuple[str, ...]
    skills: tuple[str, ...]
    certificates: tuple[str, ...]


PROFESSIONS: tuple[Profession, ...] = (
    Profession(
        degrees=listed("BSc Civil Engineering | MSc Structural Engineering | BEng Construction"),
        roles=listed("Trainee engineer | Site engineer | Project engineer | Project manager | Head of projects"),
        trades=listed("Construction | Bridges | Engineering | Build | Structures"),
        duties=listed("""
            supervise {5-24} bridge repairs | manage a budget of {2-9} million | plan {3-12} road projects |
            check drawings for {12-60} sites | coordinate {4-18} subcontractors | inspect {30-90} tunnels a year |
            lead a team of {4-16} engineers | write tenders for {6-25} schemes | reduce delays by {10-35} percent
        """),
        skills=listed("""
            site surveys | cost control | structural drawings | concrete design | contract law | risk analysis |
            soil testing | scheduling | drainage design | quality audits
        """),
        certificates=listed("""
            Site Safety Passport | Chartered Site Manager | Temporary Works Licence | Scaffold Inspection Card
        """),
    ),
    Profession(
        degrees=listed("BSc Accounting | BA Finance and Control | MSc Business Economics"),
        roles=listed(
            "Accounts assistant | Bookkeeper | Financial accountant | Senior accountant | Financial controller"
        ),
        trades=listed("Accountants | Holdings | Finance | Trading | Foods"),
        duties=listed("""
            close the books for {3-14} companies | prepare {20-90} tax returns | audit {8-40} branches a year |
            process {200-950} invoices a month | shorten the month-end to {3-8} days | train {2-9} junior staff |
            introduce software in {3-11} offices | manage debtors worth {2-9} million | report to {3-7} directors
        """),
        skills=listed("""
            annual accounts | VAT returns | budgeting | spreadsheets | cash flow planning | payroll | cost accounting |
            consolidation | internal audit | credit control
        """),
        certificates=listed("""
            Certified Payroll Officer | Tax Adviser Diploma | Internal Auditor Certificate | IFRS Certificate
        """),
    ),
    Profession(
        degrees=listed("BSc Nursing | Diploma in Elderly Care | MSc Health Care"),
        roles=listed("Care assistant | Staff nurse | Senior nurse | Ward manager | Head of nursing"),
        trades=listed("Care | Hospital | Clinic | Health | Nursing Home"),
        duties=listed("""
            care for {8-28} patients a shift | lead a ward of {12-36} beds | train {4-20} student nurses |
            plan rosters for {15-60} nurses | reduce falls by {12-40} percent | run {2-6} clinics a week |
            introduce care plans on {2-7} wards | visit {6-15} clients a day | check medicines for {20-70} residents
        """),
        skills=listed("""
            wound care | palliative care | medication rounds | dementia care | patient records | infection control |
            first aid | blood sampling | family meetings | intravenous therapy
        """),
        certificates=listed("""
            Registered Nurse | Life Support Certificate | Infection Control Diploma | Mentor Certificate
        """),
    ),
    Profession(
        degrees=listed("BSc Logistics | BA Supply Chain Management | Diploma in Transport"),
        roles=listed("Warehouse worker | Dispatcher | Transport planner | Warehouse manager | Logistics manager"),
        trades=listed("Logistics | Freight | Transport | Warehousing | Cargo"),
        duties=listed("""
            plan {20-90} trips a day | manage a warehouse of {2-9} halls | lead {6-45} drivers |
            reduce stock errors by {15-60} percent | dispatch {80-400} parcels a shift |
            negotiate with {5-25} carriers | introduce scanners at {2-8} sites | load {10-40} trailers a day |
            handle customs for {12-30} countries
        """),
        skills=listed("""
            route planning | stock control | customs papers | forklift driving | shift planning | cold chain |
            fleet management | lean methods | carrier contracts | hazardous goods
        """),
        certificates=listed("""
            Forklift Licence | Dangerous Goods Certificate | Customs Declarant Diploma | Lorry Licence C+E
        """),
    ),
    Profession(
        degrees=listed("BSc Computer Science | MSc Software Engineering | BSc Information Systems"),
        roles=listed("Junior developer | Software developer | Senior developer | Lead developer | Head of development"),
        trades=listed("Software | Systems | Digital | Networks | Data"),
        duties=listed("""
            develop {3-12} web services | maintain {20-80} servers | lead a team of {4-14} developers |
            migrate {5-30} databases | test {40-150} releases a year | reduce loading times by {20-70} percent |
            support {200-900} users | design an interface for {3-15} partners | automate {10-45} reports
        """),
        skills=listed("""
            Python | SQL | Linux | Java | cloud hosting | code reviews | data modelling | TypeScript |
            test automation | network security
        """),
        certificates=listed("""
            Cloud Architect Certificate | Scrum Master | Security Analyst Certificate | Database Administrator
        """),
    ),
    Profession(
        degrees=listed("BA Business Administration | BA Marketing | BSc Economics"),
        roles=listed("Sales assistant | Account manager | Key account manager | Sales manager | Sales director"),
        trades=listed("Trading | Foods | Furniture | Textiles | Instruments"),
        duties=listed("""
            advise {40-160} clients | open {2-9} new markets | lead a sales team of {4-20} |
            raise turnover by {10-45} percent | negotiate {12-50} contracts a year | organise {3-14} trade fairs |
            win {8-40} new accounts | manage orders worth {2-9} million | visit {10-30} shops a week
        """),
        skills=listed("""
            negotiation | tenders | customer care | price calculation | trade fairs | market research |
            sales forecasts | presentations | contract drafting | complaint handling
        """),
        certificates=listed("""
            Export Trade Certificate | Negotiation Diploma | Key Account Certificate | Driving Licence B
        """),
    ),
    Profession(
        degrees=listed("BA Human Resources | MSc Work Psychology | BA Public Administration"),
        roles=listed("HR assistant | Recruiter | HR adviser | HR manager | Head of personnel"),
        trades=listed("Staffing | Holdings | Services | Industries | Group"),
        duties=listed("""
            recruit {20-90} employees a year | advise {5-25} managers | handle pay for {100-900} people |
            introduce reviews in {3-12} departments | reduce sick leave by {8-30} percent | mediate {6-30} disputes |
            organise {10-40} training days | negotiate with {2-5} unions | write {8-25} staff policies
        """),
        skills=listed("""
            recruitment | labour law | interviewing | absence management | job descriptions | payroll |
            staff appraisal | mediation | pension schemes | workforce planning
        """),
        certificates=listed("""
            Mediator Diploma | Labour Law Certificate | Assessment Licence | Coaching Certificate
        """),
    ),
    Profession(
        degrees=listed("Diploma in Electrical Engineering | BEng Electrical Power | BSc Mechatronics"),
        roles=listed(
            "Apprentice electrician | Electrician | Service engineer | Maintenance planner | Technical manager"
        ),
        trades=listed("Electric | Power | Installations | Energy | Automation"),
        duties=listed("""
            maintain {15-70} lifts | install {40-200} solar panels | repair {8-30} machines a week |
            inspect {20-90} fuse boards | lead {3-12} fitters | plan maintenance for {4-18} plants |
            replace {100-600} meters | reduce downtime by {10-50} percent | train {2-8} apprentices
        """),
        skills=listed("""
            fault finding | control panels | PLC programming | cable laying | fire alarms | wiring diagrams |
            solar systems | preventive maintenance | hydraulics | meter reading
        """),
        certificates=listed("""
            High Voltage Permit | Ladder Safety Card | Solar Installer Certificate | Fire Alarm Licence
        """),
    ),
    Profession(
        degrees=listed("BSc Biochemistry | MSc Analytical Chemistry | Diploma in Laboratory Science"),
        roles=listed("Laboratory assistant | Analyst | Research technician | Quality officer | Laboratory manager"),
        trades=listed("Laboratories | Pharma | Research | Biotech | Chemicals"),
        duties=listed("""
            analyse {30-150} samples a day | validate {5-20} test methods | lead {3-14} analysts |
            write {12-60} test reports | prepare {2-9} audits | maintain {6-25} instruments |
            reduce waste by {10-40} percent | train {3-12} technicians | document {20-80} trials
        """),
        skills=listed("""
            chromatography | titration | method validation | cell culture | lab safety | statistics |
            microscopy | sample handling | audit preparation | technical writing
        """),
        certificates=listed("""
            Good Laboratory Practice | Radiation Safety Permit | Lead Auditor Certificate | Biosafety Certificate
        """),
    ),
    Profession(
        degrees=listed("Diploma in Culinary Arts | BA Hotel Management | Diploma in Food Technology"),
        roles=listed("Commis chef | Chef de partie | Sous chef | Head chef | Catering manager"),
        trades=listed("Hotel | Restaurant | Catering | Kitchens | Inn"),
        duties=listed("""
            cook for {60-350} guests a day | lead a brigade of {4-18} | plan menus for {3-12} canteens |
            reduce food waste by {15-50} percent | organise {20-90} banquets a year | train {2-10} apprentices |
            order from {8-30} suppliers | open {2-5} new kitchens | calculate prices for {40-150} dishes
        """),
        skills=listed("""
            menu planning | food safety | pastry | cost calculation | vegetarian cooking | purchasing |
            banquet service | allergen control | stock keeping | butchery
        """),
        certificates=listed("""
            Food Hygiene Certificate | Master Chef Diploma | Allergen Training | Wine Certificate
        """),
    ),
)

# Past, -ing form and third person of the verbs that begin a duty.
VERBS: dict[str, tuple[str, str, str]] = {
    base: (past, gerund, third)
    for base, past, gerund, third in (
        entry.split()
        for entry in listed("""
            supervise supervised supervising supervises | manage managed managing manages |
            plan planned planning plans | check checked checking checks |
            coordinate coordinated coordinating coordinates | inspect inspected inspecting inspects |
            lead led leading leads | write wrote writing writes | reduce reduced reducing reduces |
            close closed closing closes | prepare prepared preparing prepares | audit audited auditing audits |
            process processed processing processes | shorten shortened shortening shortens |
            train trained training trains | introduce introduced introducing introduces |
            report reported reporting reports | care cared caring cares | run ran running runs |
            visit visited visiting visits | dispatch dispatched dispatching dispatches |
            negotiate negotiated negotiating negotiates | load loaded loading loads |
            handle handled handling handles | develop developed developing develops |
            maintain maintained maintaining maintains | migrate migrated migrating migrates |
            test tested testing tests | support supported supporting supports | design designed designing designs |
            automate automated automating automates | advise advised advising advises |
            open opened opening opens | raise raised raising raises | organise organised organising organises |
            win won winning wins | recruit recruited recruiting recruits | mediate mediated mediating mediates |
            install installed installing installs | repair repaired repairing repairs |
            replace replaced replacing replaces | analyse analysed analysing analyses |
            validate validated validating validates | document documented documenting documents |
            cook cooked cooking cooks | order ordered ordering orders | calculate calculated calculating calculates
        """)
    )
}

FIRST_NAMES = listed("""
    Adela | Bram | Carys | Dorian | Edda | Fergus | Greta | Hanno | Imogen | Joris | Katya | Linus | Maeve | Nils |
    Orla | Piet | Quirin | Rosalind | Stellan | Tamsin | Ulrike | Valentin | Wilma | Xander | Yara | Zeno | Amrit |
    Beatriz | Cosmo | Delphine | Emre | Farah | Gideon | Helga | Ivo | Jolanda | Kofi | Leonie | Marek | Nadia
""")
LAST_NAMES = listed("""
    Abernale | Brandvik | Castellow | Dunmoor | Eskeland | Fairclough-Ives | Garrivan | Hollmayer | Istvance |
    Jarrold | Kesteven | Lindholt | Marwick | Nordahl | Oxenby | Pellerin | Quillmore | Rademaker | Stavenhagen |
    Tolliver | Underhay | Verbruggel | Wetherall | Yarwood | Zandstra | Ashgrove | Birkenfeld | Corvalle | Drummell |
    Estermann
""")
TOWNS = listed("""
    Harrowmere | Aldwick Bay | Stonebeck | Netherford | Kilavally | Oderhagen | Oostermeer | Waardrecht |
    Lindewoude | Pinecross | Saltmarsh | Montclairin
""")
STREETS = listed("""
    Kiln Row | Sluice Yard | Copper Lane | Mill Street | Foundry Road | Quayside | Orchard Way | Assembly Walk |
    Beacon Street | Tanner Gate | Weir Terrace | Larch Avenue
""")
EMPLOYERS = listed("""
    Hallamby | Prycewell | Oakmere | Tessaro | Brackwell | Kettlesing | Vandervoort | Silverhatch | Marlowgate |
    Eastholm | Grunewalder | Fenwright | Rosslare | Castlebar | Ormsgill | Haverkate | Lundquist | Thistleton |
    Bellamar | Crowhurst | Dovedale | Elmstead | Farringham | Gildersome | Hexwater | Inglenook | Kirkstall |
    Langholm | Moorcroft | Nettlebed | Penrose | Ravensworth | Selborne | Tidewell | Ullswick | Westerdale
""")
SCHOOLS = listed("""
    Norwick University | Harrowmere College | University of Aldwick | Stonebeck Polytechnic | Oderhagen University |
    Waardrecht College | Netherford Institute | University of Montclairin | Kilavally College | Linden School
""")
SECONDARY_SCHOOLS = listed("""
    Beacon Hill School | St Alban's Grammar | Quay Road School | Larch Park Academy | Orchard Secondary School
""")
LANGUAGES = listed("Dutch | German | French | Spanish | Polish | Italian | Swedish | Portuguese | Turkish | Arabic")
# At these levels a language counts as spoken; a basic one does not.
GOOD_LEVELS = listed("fluent | very good | good")
NATIONALITIES = listed("British | Irish | Dutch | German | French | Polish | Norwegian | Belgian | Canadian")
MARITAL_STATUS = listed("single | married | married, two children | divorced | widowed | engaged | married, one child")
HOBBIES = listed("""
    chess | hill walking | choir singing | baking | cycling | model railways | sailing | gardening | badminton |
    photography | pottery | birdwatching | swimming | crosswords | volleyball | playing the cello
""")

# Opening words that say little: none of it belongs in a summary.
PROFILES = listed("""
    Motivated team player with an eye for detail! | I am looking for a new challenge in a friendly team. |
    Reliable, flexible and always ready to learn. | Hard-working professional who enjoys working with people. |
    I love my work and never miss a deadline! | Calm under pressure, with a good sense of humour. |
    A quick learner who likes to take the initiative. | Enthusiastic, honest and well organised!
""")

# Where a duty stands: as an own sentence, or behind words that the house style leaves out.
PAST_DUTIES = listed("""
    {Past}. | I {past}. | Responsible for {gerund}. | My main task was {gerund}. | I was responsible for {gerund}.
""")
CURRENT_DUTIES = listed("""
    {Base}. | I {base}. | Responsible for {gerund}. | My main task is {gerund}. | I am responsible for {gerund}.
""")
OTHER_DUTIES = listed("""
    Also helped out at the front desk. | Kept the files in order. | Took part in weekly team meetings. |
    Stood in for colleagues during holidays. | Helped to move the office. | Answered letters and calls. |
    Worked in changing shifts. | Showed visitors around.
""")

# What a CV says about when work can begin; {when} is a day or a period, {hours} how much.
FROM_DAY = listed("""
    Earliest start: {when}, {hours}. | I can start on {when}, {hours}. | Available from {when} ({hours}). |
    Free from {when}; I am looking for work, {hours}.
""")
AFTER_NOTICE = listed("""
    Notice period: {when}, {hours}. | My notice period is {when}. I would like to work {hours}. |
    {hours}; I have to give my employer {when} notice. | Notice: {when} ({hours}).
""")
AT_ONCE = listed("""
    I can start at once, {hours}. | Available immediately ({hours}). | Start: at any time, {hours}. |
    Between jobs now, so I could begin tomorrow, {hours}.
""")
NOTICE_PERIODS = listed("1 month | 2 months | 3 months | 4 weeks | 6 weeks")
HOURS = listed(
    "full-time | full-time | full-time | 20 hours a week | 24 hours a week | 32 hours a week | 36 hours a week"
)

MONTHS = listed("""
    January | February | March | April | May | June | July | August | September | October | November | December
""")
