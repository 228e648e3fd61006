// The text that quality is measured on where none is given: stories that Fable wrote (temperature 0.8, top-p 0.95).

export const SAMPLE = `Once upon a time, there was a little girl named Lily. She loved to play outside in the sun. One day, she found a shiny penny on the ground. She picked it up and showed it to her mom. "Look at this penny!" She said.
Her mom smiled and said, "Oh no! You can have it!" Lily was so happy and ran back to the penny. She brought it to the penny and said, "Thank you, Lily! You are a good friend." From that day on, she always looked for the penny to play with her friends.

Once upon a time there were two friends, Jack and Jill. They were both very strong and loved to race. One day, Jack and Jill wanted to do something fun. So they used the whenever Jill started but also a bit scared.
So, Jack and Jill decided to go and try to get started first! They had so much fun!
At the end of the day, Jack and Jill decided to try and race the boat. They ran as fast as they could, and eventually, Jack and Jill were ready. They each ran and ran as fast as they could, until they reached the finish line.
Jack and Jill were so excited. They had a lot of fun. Everyone had so much fun running around and trying to win, and playing together all day long. When they were tired, they all had a great time!

Once upon a time there was a dog named Spot. Spot liked to play outside in the sunshine. One day Spot saw a big, round rock in the grass. Spot was so excited that he ran over to it.
Spot used his paws to zip and turn around. Then, Spot saw his big ball in the grass. Spot decided to roll it high in the air. He tried to jump in the water, but he was too far away.
Spot ran very fast and he got scared. But his mom wasn't slow like him, so he ran as fast as he could. He pushed and pulled and pulled out the rock with a cloth. He felt a little ashamed and scared. He ran as fast as he could.
Spot used his paws to move him and he was relieved. He thanked Spot for being so kind as the sun began to move and it felt better. Spot was happy that he was able to fly back down and back down to shore.

Once upon a time there was a little girl who loved to go on a trip. One day she asked her mom for some news, but her mom said no. She was sad because she had to wait until her mom got tired.
The little girl was sad, but she was so sad. She looked around and saw an old scary moon. She quickly grabbed it and began to worry. She ran inside and hugged the moon.
The little girl was so happy! She hugged her mom and asked, "Where are you going?"
Her mom replied, "I don't know. It's a long time ago. I'm going to see you and find my way back. Come and go explore."
The little girl started to walk around, but the moon was still and she fell asleep. The little girl closed her eyes and imagined a beautiful day. She dream of flying around in the sky and having a wonderful time.
The little girl kept flying until she was tired, she was proud of herself. She said goodbye to the moon and she waved goodbye to her mom.

Once upon a time, there was a little girl named Lily. She loved to play outside in the grass and explore new things. One day, she found a big, red ball that she wanted to play with. She opened the ball and took it for her.
As she played, she found a new one. She picked it up and showed it to her mom. Her mom was very happy to see her pretty purple9. They played with it, but the tall clock was very long.
Lily had a very long time with her new toy, but she was also happy that she had with her when she got home. She played with it every day with her sister and her sister. Lily was very happy and loved her new toy.

Once upon a time, there was a red ball. The ball had big, blue balls. One day, a little girl named Lily came to play with the red ball. She rolled and rolled it all over the floor.
Suddenly, the red ball fell over the floor. Lily cried and her ball rolled away into the wind. "Ouch!" But the red ball went faster and faster.
Lily tried to run away, but it was too fast. She tried to run away from the red ball, but she couldn't. She tried to push the ball hard to the floor, but she couldn't. She felt frustrated.
Lily cried and cried, "I won't. I'm sorry."
Her mom came running and tried to play with the red ball. She said, "I'm sorry, Lily. I wanted to play with you."
Her mom came running and ran to her. She ran to her and hugged her. She said, "I'm sorry, Lily. I'm sorry to play with you. I was sorry for being scared of playing with my ball.

Once upon a time, there was a little boy named Tim. Tim loved to play with his toy cars and trucks. One day, Tim's mom told him to clean up his toys, but he couldn't wait. Tim was sad because he couldn't play with his toys anymore.
At the hospital, Tim had to clean up his toys and his toys. He wanted to make a new toy that he could play with. His mom, who had a big toy that he used to play with. Tim was so happy that he finished playing with his toys all day.
In the evening, Tim saw the toy truck. He was very happy with his new toys. He played with them all day long. He could play with his toy truck all day long. He was happy that he could play with his toys and eat with his toys.

Once upon a time, there was a farmer who liked to explore. He went to a field with many new friends. One day, he met a old farmer who loved his horse. The farmer put the horse in his horse and felt happy. He thought of a funny horse, and so he went on walks.
As he walked, the old farmer saw him walking towards him. The old farmer was so surprised! The farmer asked him if he wanted to feed the horse. The farmer said he was too shy to help him. The farmer asked him, "Why are you sad?" The farmer replied, "I am sad and I will be nice to help you."
The old farmer thought for a moment and said, "I know you need to help." He took the horse and walked away. The farmer thought about the horse's horse and decided to help the farmer. The farmer took the horse to a place where the horse arrived. The farmer's horse found the horse and he was very happy. He smiled and said, "Thank you, farmer!" The old farmer smiled and said, "

Once upon a time, there was a little fish called swam. The fish was very fast and the big and loud. One day, the little fish met a little fish. The little fish said, "Take up! Will you help?"
The big fish said, "Yes, I will wipe your wingyp! Let's go!" So, he bravely gave a big kiss on the big tree and hopped in.
The little fish thanked the little fish and scurried off into the wy water. The little fish was so happy and safe. He swam around the big tree and had a lot of fun. The big fish and the little fish became the best of friends.

Once upon a time there was a brave man. He was always looking for something new. One day he wanted to see something special. So he opened the door and peeked inside. Inside it was a toy chest!
The man was so excited! He saw the key, and he ran over. He quickly took the key, but before he opened it. He saw the key, and he was surprised. It was his treasure! He was so happy.
The man thanked the little boy for his help. He showed him the key, and he was very proud of himself. He thanked the little boy for the key. The little boy was so happy that he found something special. He smiled and thanked the man.
The little boy hugged his mom and said goodbye. He was glad he was able to help the little boy. He hugged his mom and said goodbye to his new toy chest.

Once upon a time, there was a small mouse. He was small and small, and he loved to have adventures. One day, he decided to explore the world around him in his home. He walked around in the garden, looking at all the rocks and rocks. As he was looking at the apple, he noticed something strange. It was a small, furry mouse! He hopped over to it and shouted, "Hello!"
The mouse stopped to take a closer look. The mouse looked up and saw a big, round green apple. The mouse was so excited. He asked the mouse, "Do you want to eat this apple?"
The mouse smiled and said, "Yes, I'm! What is your apple?"
The mouse said, "My apple is very important than you. It's the most delicious apple."
The little mouse thanked the mouse and said goodbye. He became a great sensation and the little mouse were best friends.

Once upon a time there was a little girl called Lucy. She was very adventurous and loved exploring. One day Lucy was playing in the forest. She went for a walk and saw a train hocknowledge of lots of surprises.
Lucy slowly reached up, and the train noticed her goingal lying on the side of the forest. She smiled when she saw a big pile of rock! She was so excited and she quickly ran over to it.
She picked up the rock and lifted it up to the top. She was so happy. She shouted, "It's so interesting!" She laughed and laughed with delight.
But then, she heard a noise coming from the bushes. She looked down and saw a big rock. She got it out of the rock and saw a little girl. She smiled at her and said, "Don't worry, I will help you."
Lucy and the little girl held the rock in her pocket and ran off to the rock. They both had a wonderful time playing together.

Once upon a time, there was a little bear named Benny. Benny loved to eat candy. One day, Benny saw a big, strong bear with a broken paw. He thought it was dangerous and wanted to eat it.
Benny met a little boy named Tim. Tim said, "Hi, tiny! What's your name?" The best toy of Amy is bunny.af was in the garden and saw Benny near the ground. The bear said, "My name is Jack. What is your name?"
Timmy said, "My name is puddy. I'm deaf." So, he said, "That's a good name!" They both laughed and played together all day. And they became the best of friends.

Once upon a time, there was a little boy named Timmy. Timmy was very happy and his mommy gave him a big, warm apple. They were sweet and smelled like a yummy apple.
"What are you doing with?" Asked Timmy.
"I'm mommy," said mommy, "I want to eat some apple and bread. What to eat it like?"
"I'm making a big piece of the apple," replied mommy.
Timmy thought for a moment and then asked, "Can I eat this apple?"
Mommy said, "Of course, I have one. Let's get the apple into the kitchen and the oven."
Timmy and his mommy worked together to make the apple better. After dinner, they were done it was very yummy and they were able to eat.
"I'm glad we're friends," said mommy. "You're the best apple ever!"
Timmy smiled back and replied, "Your apple was hot! I'm glad you had enough snack."
His mommy smiled and said, "Yum, Timmy!

Once upon a time, there was a little rabbit called Bob. Bob liked to use his friends to race. One day, Bob found a big bridge in the forest. It was a big bridge with many other animals and birds. He wanted to join in the bridge.
Bob showed his friends the bridge and gave them to him. They played for a long time and had fun. They even shared the bridge with their friends.
But one day, Bob got very upset. He had lost his bridge. He was sad because he couldn't keep playing. But then, Bob's friend came over and saw the bridge. He felt bad for them.
Bob was very sad and wished he had listened to everyone. He knew his friends were not scared of him. They had to be friends and have fun with him. Bob learned that sometimes things that are more fun than to scare from the bridge.

Once upon a time there was a little girl named Lucy. She was very excited to explore the world.
Suddenly, she found a strange sack on the shelf. She was curious and ran to it. As she walked towards the sack, she heard a loud noise.
"What is that?" Said Lucy.
Suddenly, a strange wind blew around. It was a hairy dog. It was a nice Spot.
Lucy was so surprised and she wanted to know what was happening. Then she heard a voice.
"What is that?" She asked, clapping her hands.
"It's aord! Don't touch the Spot," a voice said, "It's a lamp. It's a beautiful lamp."
Lucy was delighted and hugged the lamp. She then said, "It's ok, clut it away the window."
The lamp smiled and said, "I'm glad you had seen this lamp from here."
Lucy smiled and gave the lamp back to her to keep coming true.

Once upon a time there was a little boy named Dan. Dan was very hungry and he wanted some bread. He went to the store and saw a big yellow ball. Dan liked the ball very much, so he asked his mother, "What's your name?" His mother smiled and said, "That's my ball. Dan first."
Dan put the ball in the store and went to the store. He wanted to buy some balls, but he knew he was wrong. He suddenly remembered he had some oxygen wearing a barking out of the red ball.
Dan came into the store and saw his mother. She said, "Why do you want to buy my ball?" Dan thought for a moment and said, "No! That's my ball. I can't buy it." Dan was very happy and he agreed.
Then he and his mother went to the store. When they arrived, Dan's mother asked, "What's your name?" Danive's name? Where are you there? George?"

One day, a little boy named Tim had a big garden with many leaves. He wanted to pick one flower. Tim liked to pick the flowers, but he was too little. He thought the garden was too big and not fit.
Tim was sad. He decided to help his mom and dad. They all went to the garden to help. They helped the flowers and the little birds. Tim and his mom helped the flowers by the garden. The birds were very happy. They were happy and played in the garden.
Later, they saw a big frog. The frog was not hungry. The frog was hungry and scared. The frog said, "Don't worry, Tim. I will help you." The frog and his dad patiently followed the frog. The frog hopped away. The frog was very happy.
Tim and his dad went home. They ate the bee. The little frog and had a great time. Tim and his dad were sad. They learned to be friends and to be careful with their things. They learned to be careful with too, but it is important to listen to their parents.

Once upon a time, there was a little girl named Lily. She loved to play outside and explore. One day, she went on a walk in the park. She saw a bright sunset that her mother called out to her.
"What's there?" Said her mother.
"I don't know," Lily said with a big smile.
Her mother saw how sad the sun shone and the sky was a warm," her mother said, handing the sunset.
Lily was so excited that she quickly ran out of the grass. When she got to the park, her mother said, "Yes, but be careful, and playing."
So, Lily went outside and saw the sunset. She walked towards the sunset and it was so warm. She called out to her mother, "You look so beautiful. I'm going to get out."
"That's a special day," her mother said. "You're sure you can get lost."
And they both looked up and saw a small girl playing in the grass.

Once upon a time there was a brave little duck who loved to explore the world. One day he decided to explore the world around his garden. As he was searching around, he noticed a big, blue flower. He ran to the flower and tried to pick it. But it was too quick and he kept going.
The bird kept looking for something else to do. Suddenly, he heard a voice. It said: "Would you like to go find out?"
The bird hopped up and down, looking around, and saw a beautiful flower. It was a beautiful flower! He was so excited that he had to be sure it was a petal. He ran back to the flower and started to dig the flower in the water.
The bird's curious the flower flew away. He felt proud of himself for being the best flower in the world. He knew he would never give it any harm. The end.

Lily and Ben are twins. They like to play with their toys and books. They have many books, but they also liked. They also liked to read books and read books. They also liked books with books and books.
But one day, they do not seem different. They want to read their books, but they just laughed. They did not understand why they did. They wanted to read from big books. They say they want to read the books without them.
They do not understand. They want to read to their books and be friendly. They say they are hungry and curious. They say they are not happy. They say to each other.
They go to the book and see what they do. They say they are not nice. They say they are old and rested. They read some books and some pictures. They are happy. They say they are good.

Once upon a time, there was a little girl named Lily. She loved to help her mom with her toys. One day, she saw a beautiful butterfly. "Mommy, can we play with it?" Lily asked.
"Yes, I can help you," her mom said.
Lily was so happy that she helped the butterfly. She let go of the butterfly to her mom. When she arrived, she saw that the butterfly was very pretty. She wanted to touch it, but it was too high.
Suddenly, Lily saw a butterfly fluttering nearby. She wanted to catch it, but it flew away. She said, "Don't worry, butterfly. Let's go get it."
Lily took the butterfly and ran after the butterfly to its friends. They flew high into the sky and had so much fun. Lily and her friends laughed and had a great time flying.

Once upon a time, there was a little boy named Timmy. Timmy loved to play with his drum and run around outside. One day, Timmy's mom told him they were going to the park. Timmy was so excited to watch the drum from the park with his drum.
Timmy's mom said, "Okay, mommy. I have a great time. Let's swing on it!"
After a while, they saw a big, crash!" Timmy shouted, "Mommy, can I come play with me?"
His mom said, "Sure, let's play a game of hide and seek."
Timmy happily bounced around the park with his drum and it was a great time for their drum. Timmy and his mom played tag and had lots of fun.
The moral of the story is that being naughty, but if you help others, we can play a game and have fun with it.

Once upon a time there was a very honest zigzag. It was so honest that it kept growing. Everyone knew it was the best cake they did.
One day, a brave 3 year old boy named Jack was feeling jealous. He wanted to give his surprise to everyone he needed. So he decided to give off his special present. He used it to match his mouths and match his mouths. Everyone was so happy and he loved it.
The next day, Jack took the cake and looked at it. He was so excited! He put the cake in his mouth, and gave it to the truth. Everyone was happy and everyone was happy.
Every day, Jack and his friends went home. They all laughed and had a wonderful time.`;
