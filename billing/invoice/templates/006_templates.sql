-- Version 3: why the amount changed, messages, plurals, blocks in the order a class of customers sees.
insert into billing.invoice_template (class, language, version, document)
select t.class, t.language, 3, t.document || n.more || jsonb_build_object('language', t.language,
        'blocks', '["customer", "due", "why", "charts", "meters", "lines", "totals", "messages", "slip"]'::jsonb,
        'text', t.document->'text' || n.texts)
from billing.invoice_template t
join (values
        ('en', '{}'::jsonb, $json${
          "why": "Why this amount", "this_period": "This period", "last_period": "Last period", "change": "Change",
          "cause_days": "More or fewer days", "cause_use": "More or less use", "cause_price": "Prices and fees",
          "days_count": {"one": "{n} day", "other": "{n} days"},
          "more_than_year": "You used {percent}% more per day than a year ago.",
          "less_than_year": "You used {percent}% less per day than a year ago.",
          "same_as_year": "You used as much per day as a year ago.",
          "more_than_previous": "You used {percent}% more per day than in the period before.",
          "less_than_previous": "You used {percent}% less per day than in the period before.",
          "same_as_previous": "You used as much per day as in the period before.",
          "first_bill": "This is your first invoice; from the next one on you see here what changed.",
          "pay_how": "Scan the code below, or transfer with the reference {number}.",
          "messages": "Good to know", "copy": "COPY", "preview": "PREVIEW" }$json$::jsonb),
        ('vi', '{}', $json${
          "why": "Vì sao có số tiền này", "this_period": "Kỳ này", "last_period": "Kỳ trước", "change": "Chênh lệch",
          "cause_days": "Số ngày nhiều hơn hoặc ít hơn", "cause_use": "Dùng nhiều hơn hoặc ít hơn",
          "cause_price": "Đơn giá và phí",
          "days_count": {"other": "{n} ngày"},
          "more_than_year": "Mỗi ngày quý khách dùng nhiều hơn {percent}% so với cùng kỳ năm trước.",
          "less_than_year": "Mỗi ngày quý khách dùng ít hơn {percent}% so với cùng kỳ năm trước.",
          "same_as_year": "Mỗi ngày quý khách dùng bằng cùng kỳ năm trước.",
          "more_than_previous": "Mỗi ngày quý khách dùng nhiều hơn {percent}% so với kỳ trước.",
          "less_than_previous": "Mỗi ngày quý khách dùng ít hơn {percent}% so với kỳ trước.",
          "same_as_previous": "Mỗi ngày quý khách dùng bằng kỳ trước.",
          "first_bill": "Đây là hóa đơn đầu tiên; từ kỳ sau quý khách sẽ thấy tại đây điều gì đã thay đổi.",
          "pay_how": "Quét mã bên dưới hoặc chuyển khoản với nội dung {number}.",
          "messages": "Thông tin cho quý khách", "copy": "BẢN SAO", "preview": "XEM TRƯỚC" }$json$),
        ('ar', '{}', $json${
          "why": "لماذا هذا المبلغ", "this_period": "الفترة الحالية", "last_period": "الفترة السابقة",
          "change": "الفرق", "cause_days": "عدد الأيام", "cause_use": "كمية الاستهلاك",
          "cause_price": "الأسعار والرسوم",
          "days_count": {"zero": "{n} يوم", "one": "يوم واحد", "two": "يومان", "few": "{n} أيام", "many": "{n} يوما",
                         "other": "{n} يوم"},
          "more_than_year": "استهلاككم اليومي أكثر بنسبة {percent}% من الفترة نفسها في العام الماضي.",
          "less_than_year": "استهلاككم اليومي أقل بنسبة {percent}% من الفترة نفسها في العام الماضي.",
          "same_as_year": "استهلاككم اليومي كما كان في العام الماضي.",
          "more_than_previous": "استهلاككم اليومي أكثر بنسبة {percent}% من الفترة السابقة.",
          "less_than_previous": "استهلاككم اليومي أقل بنسبة {percent}% من الفترة السابقة.",
          "same_as_previous": "استهلاككم اليومي كما كان في الفترة السابقة.",
          "first_bill": "هذه فاتورتكم الأولى، وستجدون هنا ابتداء من الفاتورة القادمة ما الذي تغير.",
          "pay_how": "امسحوا الرمز أدناه أو حولوا المبلغ مع ذكر المرجع {number}.",
          "messages": "معلومات مفيدة", "copy": "نسخة", "preview": "معاينة" }$json$)) as n(language, more, texts)
        on n.language = t.language
where t.class = 'default' and t.version = 2;
